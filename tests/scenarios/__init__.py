"""Several hosts, the whole way from the user's call to the engine and back."""
