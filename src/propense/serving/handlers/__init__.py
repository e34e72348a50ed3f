"""What each route does, a file a resource."""
