"""Keep every test away from the Airflow of whoever runs it."""

import atexit
import os
import shutil
import tempfile

for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
home = tempfile.mkdtemp(prefix="airflow-provider-kore-")
atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = home
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
