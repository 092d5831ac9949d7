"""Dense layers below fp32: rows of x and weights in 16 or 8 bits, sums in 32."""
