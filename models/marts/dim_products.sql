with products as (
    select * from {{ ref('stg_pos__products') }}
),

-- products that the tills, the agency or the coupons name, known to the master data or not
named as (
    select product_id from {{ ref('stg_pos__transactions') }}
    union
    select product_id from {{ ref('stg_promo__promotions') }}
    union
    select product_id from {{ ref('stg_promo__coupons') }}
    union
    select product_id from products
),

dim_products as (
    select
        named.product_id,
        products.manufacturer_id,
        coalesce(products.department, 'Unknown') as department,
        coalesce(products.brand, 'Unknown') as brand,
        coalesce(products.product_category, 'Unknown') as product_category,
        coalesce(products.product_type, 'Unknown') as product_type,
        products.package_size,
        products.product_id is not null as is_known,
        products.updated_at
    from named
    left join products on named.product_id = products.product_id
)

select * from dim_products
