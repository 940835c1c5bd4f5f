//! The products of the cluster, by what a file may name: their SKU, or their id and name.

use std::collections::{BTreeMap, HashMap};

use client::wire::Product;
use client::{Client, ProductQuery};

use crate::exit::CliError;
use crate::remote;

/// All products that are not archived, as they were when they were read.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    products: BTreeMap<u64, Product>,
    ids_by_sku: HashMap<String, u64>,
}

impl Catalogue {
    /// Reads all products, page by page.
    pub(crate) async fn read(client: &Client) -> Result<Catalogue, CliError> {
        let mut products = Vec::new();
        let mut query = ProductQuery::default();
        loop {
            let page = client.products(&query).await.map_err(|error| remote::failure(&error))?;
            products.extend(page.data.data);
            if page.data.meta.next_cursor.is_none() {
                return Ok(Catalogue::of(products));
            }
            query.cursor = page.data.meta.next_cursor;
        }
    }

    /// A catalogue of these products.
    pub(crate) fn of(products: impl IntoIterator<Item = Product>) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for product in products {
            if let Some(sku) = &product.sku {
                catalogue.ids_by_sku.insert(sku.clone(), product.id);
            }
            catalogue.products.insert(product.id, product);
        }
        catalogue
    }

    /// The product with this SKU.
    pub(crate) fn with_sku(&self, sku: &str) -> Option<&Product> {
        self.products.get(self.ids_by_sku.get(sku)?)
    }

    /// The product with this id.
    pub(crate) fn with_id(&self, id: u64) -> Option<&Product> {
        self.products.get(&id)
    }

    /// The highest id, 0 without products. Archived products may have higher ones.
    pub(crate) fn id_max(&self) -> u64 {
        self.products.last_key_value().map_or(0, |(id, _)| *id)
    }
}
