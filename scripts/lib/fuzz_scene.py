"""Makes or drops the database that scripts/fuzz-api plays in: one group whose admin has the token's id."""

import os
import sys

from bson import ObjectId
from pymongo import MongoClient

database = MongoClient(os.environ["TASKWIRE_MONGODB_URI"])[os.environ["TASKWIRE_DATABASE"]]
if sys.argv[1] == "make":
    admin = {"userId": ObjectId("65a0000000000000000000d4"), "role": "Admin"}
    database.groups.insert_one({"_id": ObjectId("65a0000000000000000000a1"), "name": "Fuzz", "members": [admin]})
else:
    database.client.drop_database(database.name)
