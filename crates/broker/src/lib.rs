//! Exchanges, queues, publish, consume, settle: on RabbitMQ (AMQP 0-9-1) and embedded (SQLite).
