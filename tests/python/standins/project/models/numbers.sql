select
    cast(n as integer) as id,
    'k' || lpad(cast(n as varchar), 3, '0') as code,
    cast(n % 10 as integer) as digit,
    cast(n as decimal(10, 2)) as amount,
    timestamp '2024-01-01' + n * interval 1 day as started_at,
    timestamp '2024-01-02' + n * interval 1 day as ended_at
from range(100) as numbers (n)
