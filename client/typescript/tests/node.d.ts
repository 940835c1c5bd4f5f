// What the tests use of Node, without a dependency for its types.
declare module "node:*";
declare const process: any;
declare const Buffer: any;
