"""The routes of other products, so that their clients can use this service (`serve --compat`)."""
