"""The CPU quota of a container, from invented control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_groups import MOUNT_1, MOUNT_2, OTHERS, container, write_files
from faster_rcnn.system import quota
from faster_rcnn.system.quota import cpu_quota


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("150000 100000", 1.5),
        ("20000 100000", 0.2),
        ("100000 50000", 2.0),
        ("max 100000", None),
        ("", None),
        ("100000", None),
        ("0 100000", None),
        ("100000 0", None),
        ("-1 -1", None),
        ("1e5 100000", None),
        ("100000 100000 7", None),
        ("²", None),
        ("9" * 400 + " 1", None),  # too large for a float
        ("9" * 5000 + " 100000", None),
        ("\0", None),
    ],
)
def test_a_quota_of_version_2(text: str, expected: float | None, tmp_path: Path) -> None:
    assert cpu_quota(container(tmp_path, text)) == expected


def test_the_smallest_quota_of_a_group_and_those_around_it_holds(tmp_path: Path) -> None:
    root = write_files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/job/part\n",
            "proc/self/mountinfo": MOUNT_2.format(root="/", point="/sys/fs/cgroup"),
            "sys/fs/cgroup/user.slice/cpu.max": "max 100000",
            "sys/fs/cgroup/user.slice/job/cpu.max": "200000 100000",
            "sys/fs/cgroup/user.slice/job/part/cpu.max": "400000 100000",
            "sys/fs/cgroup/user.slice/job/part/below/cpu.max": "100000 100000",
            "sys/fs/cgroup/user.slice/other/cpu.max": "100000 100000",
        },
    )
    assert cpu_quota(root) == 2.0
    (root / "sys/fs/cgroup/user.slice/job/part/cpu.max").write_text("50000 100000")
    assert cpu_quota(root) == 0.5


@pytest.mark.parametrize("own", ["/docker/4f2a/jobs", "/jobs", "/../docker/4f2a/jobs"])
def test_a_container_without_a_namespace_mounts_its_own_group(own: str, tmp_path: Path) -> None:
    root = write_files(
        tmp_path,
        {
            "proc/self/cgroup": f"0::{own}\n",
            "proc/self/mountinfo": MOUNT_2.format(root="/docker/4f2a", point="/sys/fs/cgroup"),
            "sys/fs/cgroup/cpu.max": "300000 100000",
            "sys/fs/cgroup/jobs/cpu.max": "200000 100000",
        },
    )
    assert cpu_quota(root) == (3.0 if ".." in own else 2.0)


def version_1(root: Path, quota: str, period: str = "100000", folder: str = "sys/fs/cgroup/cpu,cpuacct/jobs/7") -> Path:
    return write_files(
        root,
        {
            "proc/self/cgroup": "12:cpuset:/\n5:memory:/jobs\n4:cpu,cpuacct:/jobs/7\n1:name=systemd:/x:y\n",
            "proc/self/mountinfo": f"{OTHERS}\n{MOUNT_1.format(root='/', point='/sys/fs/cgroup/cpu,cpuacct')}",
            f"{folder}/cpu.cfs_quota_us": quota,
            f"{folder}/cpu.cfs_period_us": period,
        },
    )


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(("250000", "100000"), 2.5), (("-1", "100000"), None), (("250000", ""), None), (("25", "10"), 2.5)],
)
def test_a_quota_of_version_1(texts: tuple[str, str], expected: float | None, tmp_path: Path) -> None:
    assert cpu_quota(version_1(tmp_path, *texts)) == expected


def test_both_versions_on_one_machine(tmp_path: Path) -> None:
    root = version_1(tmp_path, "250000")
    with (root / "proc/self/cgroup").open("a") as file:
        file.write("0::/a b\n")
    with (root / "proc/self/mountinfo").open("a") as file:
        file.write("\n" + MOUNT_2.format(root="/", point=r"/sys/fs/cgroup/uni\040fied"))
    write_files(root, {"sys/fs/cgroup/uni fied/a b/cpu.max": "120000 100000"})
    assert cpu_quota(root) == 1.2
    write_files(root, {"sys/fs/cgroup/uni fied/a b/cpu.max": "max 100000"})
    assert cpu_quota(root) == 2.5


def test_the_hierarchy_of_memory_has_no_quota_of_cpus(tmp_path: Path) -> None:
    assert cpu_quota(version_1(tmp_path, "250000", folder="sys/fs/cgroup/memory")) is None


@pytest.mark.parametrize("folder", ["sys/fs/cgroup/cpu/jobs/7", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpu"])
@pytest.mark.parametrize("mounts", [None, "", "31 23 0:28 / /sys rw\nx - \n - - -\n32 31 0:29 / - cgroup"])
def test_without_a_list_of_mounts_the_usual_places_are_searched(
    folder: str, mounts: str | None, tmp_path: Path
) -> None:
    root = version_1(tmp_path, "250000", folder=folder)
    if mounts is None:
        (root / "proc/self/mountinfo").unlink()
    else:
        (root / "proc/self/mountinfo").write_text(mounts)
    assert cpu_quota(root) == 2.5


def test_without_any_file_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert cpu_quota(tmp_path / "missing") is None


def test_odd_files_are_no_quota(tmp_path: Path) -> None:
    root = container(tmp_path, "100000 100000")
    (root / "proc/self/cgroup").write_bytes(b"0::/\xff\0\n:::\n\n0\n4:cpu\n")
    assert cpu_quota(root) == 1.0  # of the group at the top
    (root / "sys/fs/cgroup/cpu.max").write_bytes(b"\xff\xfe 100000")
    assert cpu_quota(root) is None
    (root / "sys/fs/cgroup/cpu.max").unlink()
    (root / "sys/fs/cgroup/cpu.max").mkdir()
    assert cpu_quota(root) is None


def test_the_root_is_the_one_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "ROOT", container(tmp_path, "50000 100000"))
    assert cpu_quota() == 0.5
