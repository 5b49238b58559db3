"""Which user gets which variant, every night: snapshot, verify, check. For Airflow 3, and 2.10 with the standard provider.

All names come from the data interval, not from the clock: an attempt that runs after midnight finds the journal of the one
before, and resumes it.
"""

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG  # Airflow 2.10: from airflow import DAG

with DAG(
    dag_id="rollcall_assignments",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    # A night that is over cannot be made up for: the API answers what holds now.
    catchup=False,
    max_active_runs=1,
) as dag:
    snapshot = BashOperator(
        task_id="snapshot",
        bash_command="""
            set -e
            mkdir -p "$OUT"
            exec rollcall snapshot "$USERS" --out "$OUT/assignments.parquet" --overwrite \
              --flags-from /srv/experiments/flags.txt --carry country --key-file /srv/secrets/amplitude \
              --rate 100 --max-errors 1% --min-users 100 --grace 8s --log-format json
        """,
        env={
            "USERS": "/srv/exports/dt={{ data_interval_start | ds }}/users.csv",
            "OUT": "/srv/assignments/dt={{ data_interval_start | ds }}",
        },
        append_env=True,
        # 75: the next attempt resumes. BashOperator cannot tell exit codes apart, so 1 and 64 are tried again, too.
        retries=6,
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=8),
        # 3: only without --max-errors. The files are there, and another attempt would ask about everybody again. So it is
        # not a failure, but what follows is skipped.
        skip_on_exit_code=3,
    )
    verify = BashOperator(
        task_id="verify",
        bash_command="""
            exec rollcall verify "$OUT/assignments.parquet"
        """,
        env={"OUT": "/srv/assignments/dt={{ data_interval_start | ds }}"},
        append_env=True,
        retries=0,  # 4: a file is not as it was written
    )
    check = BashOperator(
        task_id="check",
        bash_command="""
            exec rollcall check /srv/experiments/checkout.rules.yaml "$OUT/assignments.parquet"
        """,
        env={"OUT": "/srv/assignments/dt={{ data_interval_start | ds }}"},
        append_env=True,
        retries=0,  # 4: a rule does not hold
    )
    snapshot >> verify >> check
