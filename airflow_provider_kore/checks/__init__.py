"""Compare what is guessed about Kore.ai with what a Kore.ai answers: ``airflow kore check``."""
