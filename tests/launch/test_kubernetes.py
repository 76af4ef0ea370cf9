"""The manifests of launch/k8s hold only fields that exist, and what jax needs is there.

Everything below a JobSet is checked against the models of the official client; the few
JobSet fields in use (jobset.x-k8s.io/v1alpha2) are written down here.
"""

import inspect
import pathlib
import re

import pytest
import yaml
from jax._src.clusters import k8s_cluster

from inpainting_jax import runtime

FOLDER = pathlib.Path(__file__).parents[2] / "launch" / "k8s"
JOBSETS = ("train_gpu.yaml", "train_tpu.yaml")

models = pytest.importorskip("kubernetes.client.models", reason="needs the extra k8s")

JOBSET = {
    "apiVersion": "str",
    "kind": "str",
    "metadata": "V1ObjectMeta",
    "spec": {
        "failurePolicy": {
            "maxRestarts": "int",
            "rules": [
                {"name": "str", "action": "str", "onJobFailureReasons": "list[str]"}
            ],
        },
        "replicatedJobs": [
            {"name": "str", "replicas": "int", "template": "V1JobTemplateSpec"}
        ],
    },
}
PLAIN = {"str": str, "int": int, "bool": bool, "float": float}


def check(value, kind, where):
    """Raises where `value` has a field, or a type, that `kind` does not have."""
    if isinstance(kind, list):
        for i, item in enumerate(value):
            check(item, kind[0], f"{where}[{i}]")
    elif isinstance(kind, dict):
        for name, item in value.items():
            assert name in kind, f"{where} has no field {name!r}"
            check(item, kind[name], f"{where}.{name}")
    elif found := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        assert isinstance(value, list), f"{where} is no list"
        check(value, [found[1]], where)
    elif found := re.fullmatch(r"[Dd]ict[\[(]str, (.*)[\])]", kind):
        for name, item in value.items():
            check(item, found[1], f"{where}.{name}")
    elif kind in PLAIN:
        assert type(value) is PLAIN[kind], f"{where} = {value!r} is no {kind}"
    else:
        model = getattr(models, kind)
        names = {json: own for own, json in model.attribute_map.items()}
        fields = {json: model.openapi_types[own] for json, own in names.items()}
        check(value, fields, where)
        # The client's constructors refuse None for what is required.
        model(**{names[name]: item for name, item in value.items()})


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def job_of(name):
    (document,) = documents(name)
    (replicated,) = document["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]


@pytest.mark.parametrize("name", JOBSETS)
def test_a_jobset_holds_only_fields_that_exist(name):
    (document,) = documents(name)
    assert document["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    assert document["kind"] == "JobSet"
    check(document, JOBSET, name)


def test_the_access_manifest_holds_only_fields_that_exist():
    found = documents("access.yaml")
    kinds = ["ServiceAccount", "Role", "RoleBinding"]
    assert [document["kind"] for document in found] == kinds
    for document in found:
        check(document, f"V1{document['kind']}", document["kind"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("completionmode", "Indexed"),
        ("parallelism", "2"),
        ("template", {"spec": {"containers": [{"name": "a", "commands": ["b"]}]}}),
    ],
)
def test_the_check_finds_misspelt_fields_and_wrong_types(path, value):
    with pytest.raises(AssertionError, match=r"no field|is no"):
        check({path: value}, "V1JobSpec", "spec")


def test_the_role_allows_what_jax_asks_for_and_no_more():
    source = inspect.getsource(k8s_cluster)
    asked = set(re.findall(r"\.(list|read)_namespaced_(\w+)\(", source))
    verbs = {"list": "list", "read": "get"}
    wanted = {(f"{kind}s", verbs[verb]) for verb, kind in asked}
    _, role, _ = documents("access.yaml")
    granted = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == wanted
    for rule in role["rules"]:
        assert rule["apiGroups"] == ["batch" if "jobs" in rule["resources"] else ""]


@pytest.mark.parametrize("name", JOBSETS)
def test_a_saved_run_and_a_lost_node_start_the_job_anew_as_often_as_need_be(name):
    job = job_of(name)
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert job["completionMode"] == "Indexed"  # else pods have no number
    assert job["parallelism"] == job["completions"]
    assert pod["restartPolicy"] == "Never"  # what podFailurePolicy demands
    assert job["backoffLimit"] == 0
    by_status, by_condition = job["podFailurePolicy"]["rules"]
    assert by_status["onExitCodes"]["values"] == [75]  # of launch.train, after a signal
    assert by_status["onExitCodes"]["containerName"] == container["name"]
    assert by_condition["onPodConditions"][0]["type"] == "DisruptionTarget"
    (document,) = documents(name)
    (rule,) = document["spec"]["failurePolicy"]["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    assert container["command"][:3] == ["python", "-m", "launch.train"]


def test_the_pods_of_a_gpu_job_are_recognised_as_processes_of_one_run():
    job = job_of("train_gpu.yaml")
    (container,) = job["template"]["spec"]["containers"]
    own = {entry["name"]: entry["value"] for entry in container["env"]}
    given = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}
    assert int(own["JOB_PARALLELISM"]) == job["parallelism"]
    assert runtime.in_cluster(own | given)
    assert not runtime.in_cluster(given)  # a job of one pod needs no service and role
    account, _, binding = documents("access.yaml")
    name = job["template"]["spec"]["serviceAccountName"]
    assert name == account["metadata"]["name"] == binding["subjects"][0]["name"]
