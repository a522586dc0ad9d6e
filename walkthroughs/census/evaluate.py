"""In a processing job: how often is the model right about people whom it has never seen?"""

import json
import tarfile
from pathlib import Path

import joblib
import pandas as pd
from sklearn.metrics import classification_report, roc_auc_score

PLACE = Path("/opt/ml/processing")

with tarfile.open(PLACE / "model" / "model.tar.gz") as archive:
    archive.extractall(PLACE / "model", filter="data")
model = joblib.load(PLACE / "model" / "model.joblib")
features = pd.read_csv(PLACE / "test" / "test_features.csv", header=None)
labels = pd.read_csv(PLACE / "test" / "test_labels.csv", header=None)[0]

report = classification_report(labels, model.predict(features), output_dict=True)
report["roc_auc"] = roc_auc_score(labels, model.predict_proba(features)[:, 1])
(PLACE / "evaluation" / "evaluation.json").write_text(json.dumps(report))
Path("/opt/ml/output/message").write_text(f"right about {report['accuracy']:.1%} of {len(labels)} people")
