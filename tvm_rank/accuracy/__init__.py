"""What lower precision costs: scores of sample requests, next to those of fp32."""
