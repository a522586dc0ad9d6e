"""Tags of objects."""

from groundfog.engine import Engine
from groundfog.services.s3.properties import Tags
from groundfog.services.s3.refusals import Refusing
from groundfog.wire.caller import Caller, Parameters, Result


def get_object_tagging(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        tags = engine.objects.find(request["Bucket"], request["Key"]).tags
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def put_object_tagging(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        engine.objects.tag(request["Bucket"], request["Key"], Tags.of_set(request["Tagging"]["TagSet"]))
    return {}


def delete_object_tagging(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        engine.objects.tag(request["Bucket"], request["Key"], {})
    return {}
