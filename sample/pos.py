"""The tills' tables, and their plan."""

from sample import lines, master_data

TABLES: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    (
        "transactions",
        ("basket_id", "product_id"),
        {
            "household_id": "bigint",
            "store_id": "bigint",
            "basket_id": "bigint",
            "product_id": "bigint",
            "quantity": "integer",
            "sales_value": "decimal(10,2)",
            "retail_disc": "decimal(10,2)",
            "coupon_disc": "decimal(10,2)",
            "coupon_match_disc": "decimal(10,2)",
            "week": "integer",
            "transaction_timestamp": "timestamp",
            "updated_at": "timestamp",
        },
    ),
    (
        "products",
        ("product_id",),
        {
            "product_id": "bigint",
            "manufacturer_id": "bigint",
            "department": "varchar",
            "brand": "varchar",
            "product_category": "varchar",
            "product_type": "varchar",
            "package_size": "varchar",
            "updated_at": "timestamp",
        },
    ),
    (
        "households",
        ("household_id",),
        {
            "household_id": "bigint",
            "age": "varchar",
            "income": "varchar",
            "home_ownership": "varchar",
            "marital_status": "varchar",
            "household_size": "varchar",
            "household_comp": "varchar",
            "kids_count": "varchar",
            "updated_at": "timestamp",
        },
    ),
)

VERSIONS = (lines.TRANSACTIONS, master_data.PRODUCTS, master_data.HOUSEHOLDS)
"""One `create macro` for each table."""
