//! What the model does with products.

use engine::command::{CreateProduct, UpdateProduct};
use engine::ids::{Position, ProductId};
use engine::outcome::{Outcome, Rejection};

use super::{At, Model, Product, Versions};

impl Model {
    fn sku_is_free(&self, sku: &Option<Box<str>>, own: Option<ProductId>) -> bool {
        sku.is_none()
            || (1..).map(ProductId).zip(&self.products).all(|(id, product)| {
                let product = product.now();
                Some(id) == own || product.archived || product.sku != *sku
            })
    }

    pub(super) fn create_product(
        &mut self,
        at: &At<'_>,
        command: CreateProduct,
    ) -> Result<Outcome, Rejection> {
        if !self.sku_is_free(&command.sku, None) {
            return Err(Rejection::SkuTaken);
        }
        let product = Product {
            sku: command.sku,
            price: command.price,
            max_per_order: command.max_per_order,
            available: command.stock,
            held: 0,
            reserved: 0,
            sold: 0,
            brought_in: command.stock,
            archived: false,
            version: at.position,
        };
        self.products.push(Versions::new(at.position, product));
        Ok(Outcome::ProductCreated(ProductId(self.products.len() as u64)))
    }

    pub(super) fn update_product(
        &mut self,
        at: &At<'_>,
        command: &UpdateProduct,
    ) -> Result<Outcome, Rejection> {
        let id = command.product;
        let product = self.active(id).ok_or(Rejection::ProductNotFound(id))?;
        let current = product.version;
        if command.expected_version.is_some_and(|version| version != current) {
            return Err(Rejection::VersionMismatch { current });
        }
        if command.sku.as_ref().is_some_and(|sku| !self.sku_is_free(sku, Some(id))) {
            return Err(Rejection::SkuTaken);
        }
        self.shift(at, id, |product| {
            product.price = command.price.unwrap_or(product.price);
            product.max_per_order = command.max_per_order.unwrap_or(product.max_per_order);
            if let Some(sku) = &command.sku {
                product.sku = sku.clone();
            }
            if let Some(stock) = command.stock {
                product.brought_in += stock - product.available;
                product.available = stock;
            }
        });
        Ok(Outcome::ProductUpdated(id))
    }

    pub(super) fn archive(
        &mut self,
        at: &At<'_>,
        id: ProductId,
        expected: Option<Position>,
    ) -> Result<Outcome, Rejection> {
        let product = self.product(id).ok_or(Rejection::ProductNotFound(id))?.now();
        if product.archived {
            return Ok(Outcome::ProductArchived(id));
        }
        let current = product.version;
        if expected.is_some_and(|version| version != current) {
            return Err(Rejection::VersionMismatch { current });
        }
        self.shift(at, id, |product| product.archived = true);
        Ok(Outcome::ProductArchived(id))
    }
}
