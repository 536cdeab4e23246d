"""Cases are run in processes of their own, so that a module that crashes costs one verdict."""
