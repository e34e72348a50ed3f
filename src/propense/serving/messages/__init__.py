"""The service's requests and answers, a file a resource. The OpenAPI document is made from them."""
