//! Private RabbitMQ, Redis and PostgreSQL for tests, and the tools that whole-system tests share.
