{{- define "exporter.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "exporter.labels" -}}
{{ include "exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "exporter.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "exporter.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* The secret with the credentials; empty where there is none. */}}
{{- define "exporter.secret" -}}
{{- .Values.existingSecret | default (ternary (include "exporter.name" .) "" (not (empty .Values.secret))) -}}
{{- end -}}

{{- define "exporter.scheme" -}}
{{- ternary "https" "http" .Values.webConfig.tls -}}
{{- end -}}

{{/* Names of the accounts for probes, one a line. */}}
{{- define "exporter.accounts" -}}
{{- $names := .Values.probe.accounts -}}
{{- if and (not $names) .Values.accountId -}}
{{- $names = list .Values.accountId -}}
{{- end -}}
{{- if not $names -}}
{{- range (default (list) .Values.config.accounts) -}}
{{- $names = append $names (default .account_id .name) -}}
{{- end -}}
{{- end -}}
{{- if not $names -}}
{{- fail "probe.accounts: name the accounts to probe; they are not known here" -}}
{{- end -}}
{{- join "\n" $names -}}
{{- end -}}

{{/* Complaints about values that do not fit together. */}}
{{- define "exporter.check" -}}
{{- $ways := list -}}
{{- range $way := list "demo" "accountId" "accountIdKey" "config" "existingConfigSecret" -}}
{{- if index $.Values $way -}}{{- $ways = append $ways $way -}}{{- end -}}
{{- end -}}
{{- if ne (len $ways) 1 -}}
{{- fail (printf "set exactly one of demo, accountId, accountIdKey, config and existingConfigSecret; set are: %s" (join ", " $ways | default "none")) -}}
{{- end -}}
{{- if and .Values.existingSecret .Values.secret -}}
{{- fail "set existingSecret or secret, not both" -}}
{{- end -}}
{{- if and (or .Values.accountId .Values.accountIdKey) (not (include "exporter.secret" .)) -}}
{{- fail "set existingSecret or secret: the account's token is read from there" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.probe.enabled -}}
{{- fail "enable serviceMonitor or probe: both together list every account twice" -}}
{{- end -}}
{{- end -}}
