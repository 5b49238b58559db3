-- Fails for a user who is in a run twice with the same flag.
select run_id, row_number, flag_key, count(*) as found
from {{ source('rollcall', 'assignments') }}
group by run_id, row_number, flag_key
having count(*) > 1
