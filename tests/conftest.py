"""Keep every test away from the Airflow of whoever runs it."""

import os
import tempfile

for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-provider-kore-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
