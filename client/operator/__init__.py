"""The Kubernetes operator: keeps clusters and jobs as LestoDeployment resources describe them.

``decisions`` is the pure core: from a specification, what is remembered in the resource's status
and what was observed, to a new status and actions. ``observing`` and ``acting`` talk to the
Kubernetes API and to the clusters' REST; ``shell`` runs them for each resource, with kopf.
"""
