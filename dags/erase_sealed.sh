#!/bin/sh
# Start a run of a DAG for the users whose ids are on standard input, one a line, as a ticket system may do.
# Airflow receives, stores and shows a text that only its workers can open.
#
#     sh erase_sealed.sh https://airflow.example erase_tickets public.json token.header < ids.txt
#
# The DAG, erase_tickets here, passes its Params user_ids and bot_ids to a KoreEraseUserDataOperator. public.json is what
# make-seal-key printed. token.header is a file that only you can read, with the line "Authorization: Bearer …" for
# Airflow's API. Both user ids and token stay out of the list of processes.
set -eu
airflow=$1 dag=$2 key=$3 header=$4

expires=$(date -u -d '+7 days' +%Y-%m-%dT%H:%M:%SZ)
sealed=$(python -m airflow_provider_kore.user_ids seal --key "$key" --dag-id "$dag" --expires "$expires")
printf '{"logical_date": null, "conf": {"user_ids": "%s", "bot_ids": ["st-1"]}}' "$sealed" |
    curl --fail-with-body --silent --show-error --header "@$header" --header 'Content-Type: application/json' \
        --data-binary @- "$airflow/api/v2/dags/$dag/dagRuns"
