"""A storm over New York, 8 to 10 February 2013: real flights, and sagas that rebook those whose flight is cancelled."""
