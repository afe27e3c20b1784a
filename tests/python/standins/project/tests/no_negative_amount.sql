{{ config(severity='warn', meta={'description': 'Money is not negative.'}) }}
select * from {{ ref('bad') }} where amount < 5
