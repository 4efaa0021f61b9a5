"""Errors of the operator. Codes ``LESTO-115x``."""

from __future__ import annotations

from lesto.common.errors import Domain, LestoError


class InvalidDeploymentError(LestoError):
    """A LestoDeployment's specification contradicts itself or asks for what there is not."""

    code = "LESTO-1150"
    domain = Domain.USER
    retryable = False


class KubernetesApiError(LestoError):
    """The Kubernetes API refused or did not answer.

    Attributes:
        status: of the answer; 0: there was none.
    """

    code = "LESTO-1151"
    domain = Domain.EXTERNAL
    status = 0


class ClusterRestError(LestoError):
    """A cluster's REST server refused or did not answer.

    Attributes:
        status: of the answer; 0: there was none.
    """

    code = "LESTO-1152"
    domain = Domain.EXTERNAL
    status = 0


class DeploymentStatusError(LestoError):
    """The status of a LestoDeployment is none that this operator has written."""

    code = "LESTO-1153"
    domain = Domain.EXTERNAL
    retryable = False


class OperatorExtraMissingError(LestoError):
    """The operator's package is not installed."""

    code = "LESTO-1154"
    domain = Domain.USER
    retryable = False
