"""In a processing job: a table of people becomes features and labels, to learn from and to be judged by."""

import argparse
from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler

PLACE = Path("/opt/ml/processing")
KINDS = ["education", "industry", "class of worker"]
BINNED = ["age"]
SCALED = ["persons of employer", "capital gains", "capital losses", "dividends"]

given = argparse.ArgumentParser()
given.add_argument("--train-test-split-ratio", type=float, default=0.3)
ratio = given.parse_args().train_test_split_ratio

table = pd.concat(map(pd.read_csv, sorted((PLACE / "input").glob("*.csv")))).dropna().drop_duplicates()
labels = (table.pop("income") == "50000+").astype(int)
print(f"{len(table)} people, of whom {labels.sum()} earn more than 50,000")
parts = train_test_split(table, labels, test_size=ratio, random_state=0)
transform = make_column_transformer(
    (KBinsDiscretizer(10, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), BINNED),
    (StandardScaler(), SCALED),
    (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), KINDS),
)
transform.fit(parts[0])
for name, people, incomes in (("train", parts[0], parts[2]), ("test", parts[1], parts[3])):
    features = pd.DataFrame(transform.transform(people))
    features.to_csv(PLACE / name / f"{name}_features.csv", header=False, index=False)
    incomes.to_csv(PLACE / name / f"{name}_labels.csv", header=False, index=False)
    print(f"{name}: {features.shape[0]} rows of {features.shape[1]} features")
joblib.dump(transform, PLACE / "transform" / "transform.joblib")
