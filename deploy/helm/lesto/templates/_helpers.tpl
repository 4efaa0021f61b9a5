{{- define "lesto.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* 40 letters leave room for what is put behind it. */}}
{{- define "lesto.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "lesto.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lesto.selector" -}}
app.kubernetes.io/name: {{ include "lesto.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lesto.labels" -}}
{{ include "lesto.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object: (dict "root" $ "name" "...", "component" "...", "annotations" {...}) */}}
{{- define "lesto.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "lesto.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "lesto.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "lesto.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "lesto.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- define "lesto.tokenSecret" -}}
{{ .Values.auth.existingSecret | default (printf "%s-token" (include "lesto.fullname" .)) }}
{{- end }}

{{- define "lesto.claim" -}}
{{ .Values.storage.volume.existingClaim | default (printf "%s-storage" (include "lesto.fullname" .)) }}
{{- end }}

{{- define "lesto.storage" -}}/var/lib/lesto/storage{{- end }}

{{/* The JobManagers' address for clients within the cluster. */}}
{{- define "lesto.jobmanager" -}}
{{ include "lesto.fullname" . }}-jobmanager:{{ .Values.service.rpcPort }}
{{- end }}

{{- define "lesto.restScheme" -}}
{{ if .Values.tls.rest.existingSecret }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{/* config.yaml: what the chart knows, and over it what the user says. */}}
{{- define "lesto.config" -}}
{{- $volume := .Values.storage.volume.enabled -}}
{{- $storage := include "lesto.storage" . -}}
{{- $made := dict
  "jobmanager.bind-host" "0.0.0.0"
  "jobmanager.rpc.port" 6123
  "rest.bind-address" "0.0.0.0"
  "rest.port" 8081
  "taskmanager.bind-host" "0.0.0.0"
  "taskmanager.numberOfTaskSlots" .Values.taskManager.slots
  "metrics.bind-host" "0.0.0.0"
  "metrics.port" 9249
  "log.format" "json"
-}}
{{- with .Values.storage.checkpoints | default (ternary (printf "%s/checkpoints" $storage) "" $volume) }}
{{- $_ := set $made "execution.checkpointing.dir" . }}
{{- end }}
{{- with .Values.storage.savepoints | default (ternary (printf "%s/savepoints" $storage) "" $volume) }}
{{- $_ := set $made "execution.checkpointing.savepoint-dir" . }}
{{- end }}
{{- if .Values.highAvailability.enabled }}
{{- $_ := set $made "high-availability.type" "kubernetes" }}
{{- $_ := set $made "high-availability.cluster-id" (include "lesto.fullname" .) }}
{{- with .Values.highAvailability.storageDir | default (ternary (printf "%s/ha" $storage) "" $volume) }}
{{- $_ := set $made "high-availability.storageDir" . }}
{{- end }}
{{- else }}
{{- $_ := set $made "high-availability.type" "NONE" }}
{{- end }}
{{- if .Values.taskManager.autoscaling.enabled }}
{{- $_ := set $made "scheduler-mode" "reactive" }}
{{- end }}
{{- if .Values.tls.rest.existingSecret }}
{{- $_ := set $made "security.ssl.rest.enabled" true }}
{{- $_ := set $made "security.ssl.rest.cert-chain" "/etc/lesto-tls/rest/tls.crt" }}
{{- $_ := set $made "security.ssl.rest.key" "/etc/lesto-tls/rest/tls.key" }}
{{- end }}
{{- if .Values.tls.internal.existingSecret }}
{{- $_ := set $made "security.ssl.internal.enabled" true }}
{{- $_ := set $made "security.ssl.internal.cert-chain" "/etc/lesto-tls/internal/tls.crt" }}
{{- $_ := set $made "security.ssl.internal.key" "/etc/lesto-tls/internal/tls.key" }}
{{- $_ := set $made "security.ssl.internal.ca" "/etc/lesto-tls/internal/ca.crt" }}
{{- end }}
{{- range $key, $value := mergeOverwrite $made .Values.config }}
{{ $key }}: {{ $value | toJson }}
{{- end }}
{{- end }}

{{/* What cannot work is said before anything is installed. */}}
{{- define "lesto.check" -}}
{{- $ha := .Values.highAvailability.enabled -}}
{{- if and (not $ha) (gt (int .Values.jobManager.replicas) 1) }}
{{- fail "jobManager.replicas is more than 1 and highAvailability.enabled is false: two JobManagers would lead. Enable it, or take one replica." }}
{{- end }}
{{- if and $ha (not .Values.storage.volume.enabled) (not .Values.storage.checkpoints) (not .Values.highAvailability.storageDir) }}
{{- fail "highAvailability.enabled needs storage that all JobManagers reach: enable storage.volume, or set storage.checkpoints to a URI such as s3://bucket/path." }}
{{- end }}
{{- if hasKey .Values.config "security.token" }}
{{- fail "security.token does not belong into config, which is a ConfigMap: put it in a Secret and name it in auth.existingSecret." }}
{{- end }}
{{- if eq .Values.mode "application" }}
{{- if eq (empty .Values.job.pyFile) (empty .Values.job.module) }}
{{- fail "mode application needs job.pyFile or job.module, and not both." }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment of every process. */}}
{{- define "lesto.env" -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: LESTO_CONF_DIR
  value: /etc/lesto
- name: LESTO_SECURITY__TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "lesto.tokenSecret" . }}
      key: {{ .Values.auth.key }}
{{- end }}

{{- define "lesto.envFrom" -}}
{{- with .Values.storage.credentialsSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end }}

{{- define "lesto.volumeMounts" -}}
- name: config
  mountPath: /etc/lesto
  readOnly: true
- name: scratch
  mountPath: /tmp
{{- if .Values.storage.volume.enabled }}
- name: storage
  mountPath: {{ include "lesto.storage" . }}
{{- end }}
{{- if .Values.tls.rest.existingSecret }}
- name: tls-rest
  mountPath: /etc/lesto-tls/rest
  readOnly: true
{{- end }}
{{- if .Values.tls.internal.existingSecret }}
- name: tls-internal
  mountPath: /etc/lesto-tls/internal
  readOnly: true
{{- end }}
{{- end }}

{{/* (dict "root" $ "scratch" "1Gi") */}}
{{- define "lesto.volumes" -}}
- name: config
  configMap:
    name: {{ include "lesto.fullname" .root }}-config
- name: scratch
  emptyDir:
    sizeLimit: {{ .scratch }}
{{- if .root.Values.storage.volume.enabled }}
- name: storage
  persistentVolumeClaim:
    claimName: {{ include "lesto.claim" .root }}
{{- end }}
{{- with .root.Values.tls.rest.existingSecret }}
- name: tls-rest
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.tls.internal.existingSecret }}
- name: tls-internal
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* Python packages of the application, installed once a pod. */}}
{{- define "lesto.requirements" -}}
{{- if and (eq .Values.mode "application") .Values.job.requirements }}true{{ end }}
{{- end }}

{{- define "lesto.packagesInit" -}}
- name: packages
  image: {{ include "lesto.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [python, -m, pip, install, --no-cache-dir, --disable-pip-version-check, --target, /opt/packages, -r, /etc/lesto/requirements.txt]
  resources:
    {{- toYaml .Values.job.resources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.containerSecurityContext | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/lesto
      readOnly: true
    - name: scratch
      mountPath: /tmp
    - name: packages
      mountPath: /opt/packages
{{- end }}

{{/* The part of a pod's spec that is the same in all: (dict "root" $ "of" .Values.jobManager) */}}
{{- define "lesto.podPlacement" -}}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
