"""What each ioFog generation knows: a table, from its sources and from running Controllers.

3.0: iofogctl 3, Java agent. 3.6: PoT 3.5.7 to 3.6, Java agent, single devices by CDI. 3.7: potctl 1.6 or iofogctl
3.7, Java agent, NATS in place of routes. 3.8: Edgelet under a Controller (with `devices`, which the first 3.8 had not
yet). edgelet: Edgelet alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ..documents import Where

Problem: TypeAlias = "tuple[Where, str, str]"
"""Where, what is wrong, and what to write instead; what need not be fixed begins with `MAYBE`."""
MAYBE = "perhaps: "

TEXT, INTEGER, TRUTH, LIST, MAP, ANY = "text", "integer", "true or false", "list", "mapping", "anything"

_ENV_VOLUMES_PORTS = {"env": LIST, "volumes": LIST, "ports": LIST, "commands": LIST, "extraHosts": LIST}
_3_7 = {
    **_ENV_VOLUMES_PORTS,
    "hostNetworkMode": TRUTH,
    "isPrivileged": TRUTH,
    "cdiDevices": LIST,
    "runAsUser": TEXT,
    "capAdd": LIST,
    "capDrop": LIST,
    "healthCheck": MAP,
    "memoryLimit": INTEGER,
    "cpuSetCpus": TEXT,
    "annotations": MAP,
    "pidMode": TEXT,
    "ipcMode": TEXT,
    "platform": TEXT,
    "runtime": TEXT,
}
_3_8 = {
    **_3_7,
    "devices": LIST,
    "runAsGroup": TEXT,
    "cpus": ANY,
    "tmpfs": LIST,
    "ulimits": ANY,
    "sysctls": ANY,
    "shmSize": ANY,
    "entrypoint": LIST,
    "workingDir": TEXT,
    "readOnlyRootFilesystem": TRUTH,
}
_SERVICE = {"name": TEXT, "agent": MAP, "images": MAP, "container": MAP, "config": MAP}
_NATS = {"natsConfig": MAP}
NATS_CONFIG = {"natsAccess": TRUTH, "natsRule": TEXT}
_KINDS = ("Application", "ApplicationTemplate", "Microservice", "Registry", "CatalogItem", "Volume", "AgentConfig")
UNCHECKED_KINDS = ("Volume", "AgentConfig", "EdgeResource", "Secret", "ConfigMap", "MicroserviceTemplate")
"""Not about containers of services; the command line tools are strict about the first three themselves."""


@dataclass(frozen=True)
class Generation:
    """One generation.

    Parameters:
        name: as on the command line.
        api_versions: that its command line tool accepts.
        container: fields of a container, and their types.
        service: fields of a microservice.
        application: fields of an application's spec.
        images: architectures that can be named under `images`.
        kinds: of documents.
    """

    name: str
    api_versions: tuple[str, ...]
    container: dict[str, str]
    service: dict[str, str]
    application: dict[str, str]
    images: tuple[str, ...]
    kinds: tuple[str, ...] = _KINDS
    volume_types: tuple[str, ...] = field(default=("bind", "volume"))

    @property
    def is_edgelet(self) -> bool:
        """Whether it is Edgelet alone, without a Controller."""
        return not self.application

    @property
    def has_nats(self) -> bool:
        """Whether NATS carries messages."""
        return "natsConfig" in self.service

    @property
    def has_cdi_only(self) -> bool:
        """Whether CDI is the one way to give a container a single device."""
        return "cdiDevices" in self.container and "devices" not in self.container

    @property
    def has_secrets(self) -> bool:
        """Whether the Controller fills variables from secrets."""
        return "Secret" in self.kinds

    @property
    def is_java(self) -> bool:
        """Whether the node runs a Java agent."""
        return self.images == ("x86", "arm")

    @property
    def has_routes(self) -> bool:
        """Whether routes carry messages."""
        return "routes" in self.application

    @property
    def has_devices(self) -> bool:
        """Whether a container can be given single device nodes."""
        return "devices" in self.container


GENERATIONS = {
    generation.name: generation
    for generation in (
        Generation(
            "3.0",
            ("iofog.org/v3", "datasance.com/v3"),
            {**_ENV_VOLUMES_PORTS, "rootHostAccess": TRUTH},
            _SERVICE,
            {"microservices": LIST, "routes": LIST, "template": MAP, "description": TEXT, "isActivated": TRUTH},
            ("x86", "arm"),
            (*_KINDS, "Route", "EdgeResource"),
        ),
        Generation(
            "3.6",
            ("datasance.com/v3",),
            _3_7,
            {**_SERVICE, "schedule": INTEGER},
            {"microservices": LIST, "routes": LIST, "template": MAP, "description": TEXT, "isActivated": TRUTH},
            ("x86", "arm"),
            (*_KINDS, "Route", "EdgeResource", "Secret", "ConfigMap"),
            volume_types=("bind", "volume", "volumeMount"),
        ),
        Generation(
            "3.7",
            ("iofog.org/v3", "datasance.com/v3"),
            _3_7,
            {**_SERVICE, **_NATS, "schedule": INTEGER},
            {"microservices": LIST, "template": MAP, "description": TEXT, "isActivated": TRUTH, **_NATS},
            ("x86", "arm"),
            (*_KINDS, "EdgeResource", "Secret", "ConfigMap"),
            volume_types=("bind", "volume", "volumeMount"),
        ),
        Generation(
            "3.8",
            ("iofog.org/v3", "datasance.com/v3"),
            _3_8,
            {**_SERVICE, **_NATS, "schedule": INTEGER, "template": MAP},
            {"microservices": LIST, "template": MAP, "description": TEXT, "isActivated": TRUTH, **_NATS},
            ("x86", "amd64", "arm64", "arm", "riscv64"),
            (*_KINDS, "Secret", "ConfigMap", "MicroserviceTemplate"),
            volume_types=("bind", "volume", "volumeMount", "serviceAccount"),
        ),
        Generation(
            "edgelet",
            ("edgelet.iofog.org/v1",),
            _3_8,
            {"image": TEXT, "registry": INTEGER, "container": MAP, "config": MAP, "schedule": INTEGER},
            {},
            (),
            ("Microservice", "Registry"),
        ),
    )
}

LIST_ITEMS = {
    "env": {"key": TEXT, "value": ANY, "valueFromSecret": TEXT, "valueFromConfigMap": TEXT},
    "volumes": {"hostDestination": TEXT, "containerDestination": TEXT, "accessMode": TEXT, "type": TEXT},
    "ports": {"internal": INTEGER, "external": INTEGER, "protocol": TEXT, "public": ANY},
    "extraHosts": {"name": TEXT, "address": TEXT},
    "devices": {"hostPath": TEXT, "containerPath": TEXT, "permissions": TEXT},
    "tmpfs": {"containerPath": TEXT, "size": ANY, "options": ANY},
}
"""Members of what stands in a container's lists."""
NEEDED = {
    "env": ("key",),
    "volumes": ("hostDestination", "containerDestination", "accessMode"),
    "ports": ("internal", "external"),
    "extraHosts": ("name", "address"),
    "devices": ("hostPath", "containerPath"),
    "tmpfs": ("containerPath",),
}
HEALTH = {
    "test": LIST,
    "interval": INTEGER,
    "timeout": INTEGER,
    "startPeriod": INTEGER,
    "startInterval": INTEGER,
    "retries": INTEGER,
}
RESERVED_PORTS = (54321, 54322)
CAPABILITIES = frozenset(
    (
        *("ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN"),
        *("DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE"),
        *("LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST"),
        *("NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT"),
        *("SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME"),
        *("SYS_TTY_CONFIG", "WAKE_ALARM"),
    )
)
"""capabilities(7), and ALL."""
