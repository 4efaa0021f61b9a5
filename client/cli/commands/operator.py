"""`lesto operator`: keeps clusters and jobs as LestoDeployment resources describe them."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.logging_setup import set_up_logging
from lesto.client.cli.stop_signals import STOP_SIGNALS
from lesto.client.cli.target import configuration
from lesto.client.operator.credentials import connect
from lesto.client.operator.errors import OperatorExtraMissingError
from lesto.client.operator.kube import KubeApi


def operator(arguments: argparse.Namespace) -> int:
    """Run the operator until a signal."""
    set_up_logging("operator", configuration(arguments))
    try:
        import kopf  # noqa: F401 - the extra
    except ImportError:
        msg = "the operator needs the package kopf"
        raise OperatorExtraMissingError(msg, remedy="pip install 'lesto[k8s]'") from None
    if arguments.kubeconfig:
        os.environ["KUBECONFIG"] = arguments.kubeconfig  # kopf finds it there
    kube = KubeApi(connect())
    return asyncio.run(_run(kube, arguments))


async def _run(kube: KubeApi, arguments: argparse.Namespace) -> int:
    from lesto.client.operator.shell import OperatorSettings, run

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(signal.Signals(number), stop.set)
    where = arguments.namespace or []
    settings = OperatorSettings(tuple(where), arguments.liveness or "")
    print(f"operator of LestoDeployments in {', '.join(where) or 'all namespaces'}", flush=True)
    await run(kube, settings, stop)
    return ExitCode.OK
