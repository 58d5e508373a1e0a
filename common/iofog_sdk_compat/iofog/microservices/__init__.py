"""What a microservice imports: `client`, `iomessage`, `listener`, `exception`."""
