<?php
// Places an order through the client that openapi-generator made: php place.php FOLDER URL
// FOLDER has the generated client. Guzzle comes from the include path, as Debian installs it.

declare(strict_types=1);

use Generated\Api\OrdersApi;
use Generated\ApiException;
use Generated\Configuration;
use Generated\Model\OrderLineRequest;
use Generated\Model\OrderRequest;
use Generated\Model\Outcome;
use Generated\Model\Problem;

[, $folder, $url] = $argv;
require 'GuzzleHttp/autoload.php';
spl_autoload_register(function (string $class) use ($folder): void {
    if (str_starts_with($class, 'Generated\\')) {
        require $folder . '/lib/' . str_replace('\\', '/', substr($class, strlen('Generated\\'))) . '.php';
    }
});

function check(bool $holds, string $what): void
{
    if (!$holds) {
        fwrite(STDERR, $what . "\n");
        exit(1);
    }
}

// Every class compiles.
foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator($folder . '/lib')) as $file) {
    if ($file->isFile() && $file->getExtension() === 'php') {
        require_once $file->getPathname();
    }
}

$orders = new OrdersApi(null, (new Configuration())->setHost($url));
$request = fn (int $quantity): OrderRequest => new OrderRequest([
    'user_id' => 1,
    'items' => [new OrderLineRequest(['product_id' => 1, 'quantity' => $quantity])],
]);
$key = bin2hex(random_bytes(16));
[$placed, $status] = $orders->placeOrderWithHttpInfo($request(1), $key);
check($status === 201 && $placed->getData()->getItems()[0]->getProductId() === 1, 'not placed');
[$again, $status] = $orders->placeOrderWithHttpInfo($request(1), $key);
check($status === 200 && $again->getData()->getId() === $placed->getData()->getId(), 'not the same order');
try {
    $orders->placeOrder($request(1000000));
    check(false, 'sold more than there is');
} catch (ApiException $refused) {
    $problem = $refused->getResponseObject();
    check($refused->getCode() === 409 && $problem instanceof Problem, 'not a problem');
    check($problem->getError() === 'insufficient_stock', $problem->getError());
    check($problem->getOutcome() === Outcome::REJECTED, 'not rejected');
}
echo json_encode(['order' => $placed->getData()->getId()]), "\n";
