-- The assignments of the latest run.
with runs as (
    select run_id, max(evaluated_at) as last_evaluated_at
    from {{ source('rollcall', 'assignments') }}
    group by run_id
),

latest as (
    select run_id
    from runs
    order by last_evaluated_at desc, run_id desc
    limit 1
)

select
    assignments.run_id,
    assignments.row_number,
    assignments.user_id,
    assignments.device_id,
    assignments.flag_key,
    assignments.outcome,
    assignments.variant,
    assignments.experiment_key,
    assignments.evaluated_at
from {{ source('rollcall', 'assignments') }} as assignments
inner join latest on assignments.run_id = latest.run_id
