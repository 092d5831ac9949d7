"""What the tests of feature types share: their variants and named columns, one file per feature type, and how columns are made."""
