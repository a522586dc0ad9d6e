"""In a training job: who earns more than 50,000?"""

import os
from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression

data = Path(os.environ["SM_CHANNEL_TRAIN"])
features = pd.read_csv(data / "train_features.csv", header=None)
labels = pd.read_csv(data / "train_labels.csv", header=None)[0]
model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(features, labels)
print(f"train_accuracy={model.score(features, labels):.4f};")
joblib.dump(model, Path(os.environ["SM_MODEL_DIR"]) / "model.joblib")
