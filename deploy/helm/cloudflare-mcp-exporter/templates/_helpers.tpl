{{/*
Every object is one mapping that is printed once: what users set is laid over what the chart sets
(see "overlay"), so that no key can be there twice. Helpers that give mappings or lists give JSON,
which is YAML that needs no indentation.
*/}}

{{/* Print an object: the root context, and the name of the template with its YAML. */}}
{{- define "cloudflare-mcp-exporter.object" -}}
{{- $object := include (index . 1) (index . 0) | fromYaml -}}
{{- with $object.Error -}}{{- fail . -}}{{- end -}}
{{- toYaml $object -}}
{{- end -}}

{{/*
Lay the second mapping over the first, in place: mappings are merged, lists appended, null removes.
*/}}
{{- define "cloudflare-mcp-exporter.overlay" -}}
{{- $base := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- $old := get $base $key -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $base $key -}}
{{- else if and (kindIs "map" $old) (kindIs "map" $value) -}}
{{- include "cloudflare-mcp-exporter.overlay" (list $old $value) -}}
{{- else if and (kindIs "slice" $old) (kindIs "slice" $value) -}}
{{- $_ := set $base $key (concat $old $value) -}}
{{- else -}}
{{- $_ := set $base $key (deepCopy $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One mapping of several, as JSON; later ones win. */}}
{{- define "cloudflare-mcp-exporter.merged" -}}
{{- $merged := dict -}}
{{- range . -}}
{{- include "cloudflare-mcp-exporter.overlay" (list $merged (. | default dict)) -}}
{{- end -}}
{{- toJson $merged -}}
{{- end -}}

{{/* A mapping without the keys that say nothing, as JSON. */}}
{{- define "cloudflare-mcp-exporter.given" -}}
{{- $given := dict -}}
{{- range $key, $value := . -}}
{{- if or $value (kindIs "bool" $value) -}}{{- $_ := set $given $key $value -}}{{- end -}}
{{- end -}}
{{- toJson $given -}}
{{- end -}}

{{/*
One list of two, as JSON: a key, the chart's items, the user's. A user's item takes the place of the
chart's item with the same value of the key, as Kubernetes would merge them.
*/}}
{{- define "cloudflare-mcp-exporter.mergedList" -}}
{{- $key := index . 0 -}}
{{- $theirs := index . 2 | default list -}}
{{- $taken := list -}}
{{- range $theirs -}}{{- $taken = append $taken (get . $key) -}}{{- end -}}
{{- $all := list -}}
{{- range index . 1 -}}
{{- if not (has (get . $key) $taken) -}}{{- $all = append $all . -}}{{- end -}}
{{- end -}}
{{- toJson (concat $all $theirs) -}}
{{- end -}}

{{/*
A security context that the user may change: the chart's, the user's, whether the user gave one.
Merged, but null and {} leave nothing.
*/}}
{{- define "cloudflare-mcp-exporter.securityContext" -}}
{{- $given := index . 1 -}}
{{- if or (not (index . 2)) $given -}}
{{- include "cloudflare-mcp-exporter.merged" (list (index . 0) $given) -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.podSecurityContext" -}}
{{- $own := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if ne (include "cloudflare-mcp-exporter.onOpenShift" .) "true" -}}
{{- $own = merge $own (dict "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532) -}}
{{- end -}}
{{- include "cloudflare-mcp-exporter.securityContext" (list $own .Values.podSecurityContext (hasKey .Values "podSecurityContext")) -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.containerSecurityContext" -}}
{{- $own := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{/* A list of capabilities is a whole: a user's takes the place of the chart's. */}}
{{- with (.Values.securityContext | default dict).capabilities -}}
{{- if hasKey . "drop" -}}{{- $_ := unset $own "capabilities" -}}{{- end -}}
{{- end -}}
{{- include "cloudflare-mcp-exporter.securityContext" (list $own .Values.securityContext (hasKey .Values "securityContext")) -}}
{{- end -}}

{{/* Whether OpenShift chooses the user and the groups of the pod. */}}
{{- define "cloudflare-mcp-exporter.onOpenShift" -}}
{{- $compatibility := (.Values.global | default dict).compatibility | default dict -}}
{{- $adapt := ($compatibility.openshift | default dict).adaptSecurityContext | default "auto" -}}
{{- or (eq $adapt "force") (and (eq $adapt "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.fullname" -}}
{{- $name := include "cloudflare-mcp-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The full name with a word behind it, which a long name does not cut off. */}}
{{- define "cloudflare-mcp-exporter.nameWith" -}}
{{- $room := sub 62 (len (index . 1)) | int -}}
{{- printf "%s-%s" (include "cloudflare-mcp-exporter.fullname" (index . 0) | trunc $room | trimSuffix "-") (index . 1) -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.selector" -}}
{{- dict "app.kubernetes.io/name" (include "cloudflare-mcp-exporter.name" .) "app.kubernetes.io/instance" .Release.Name | toJson -}}
{{- end -}}

{{/* Labels: of "root", "labels" of the user, "selector" for what selectors look for. */}}
{{- define "cloudflare-mcp-exporter.labels" -}}
{{- $own := dict
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- $selector := .selector | default (include "cloudflare-mcp-exporter.selector" .root | fromJson) -}}
{{- include "cloudflare-mcp-exporter.merged" (list $own .root.Values.commonLabels .labels $selector) -}}
{{- end -}}

{{/* Metadata: of "root"; "name", "namespace", "labels", "annotations" and "selector" if they differ. */}}
{{- define "cloudflare-mcp-exporter.metadata" -}}
{{- $metadata := dict
  "name" (.name | default (include "cloudflare-mcp-exporter.fullname" .root))
  "namespace" (.namespace | default (include "cloudflare-mcp-exporter.namespace" .root))
  "labels" (include "cloudflare-mcp-exporter.labels" . | fromJson) -}}
{{- with include "cloudflare-mcp-exporter.merged" (list .root.Values.commonAnnotations .annotations) | fromJson -}}
{{- $_ := set $metadata "annotations" . -}}
{{- end -}}
{{- toJson $metadata -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "cloudflare-mcp-exporter.fullname" .) "default" (eq .Values.serviceAccount.create true)) -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.image" -}}
{{- $registry := (.Values.global | default dict).imageRegistry | default .Values.image.registry -}}
{{- $repository := ternary (printf "%s/%s" $registry .Values.image.repository) .Values.image.repository (not (empty $registry)) -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Pull secrets of the chart and of the umbrella, each a name or a mapping, as a list of mappings. */}}
{{- define "cloudflare-mcp-exporter.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat ((.Values.global | default dict).imagePullSecrets | default list) (.Values.imagePullSecrets | default list) (.Values.image.pullSecrets | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- uniq $secrets | toJson -}}
{{- end -}}

{{/* The secret with the credentials; empty where there is none. */}}
{{- define "cloudflare-mcp-exporter.secret" -}}
{{- .Values.existingSecret | default (ternary (include "cloudflare-mcp-exporter.fullname" .) "" (not (empty .Values.secret))) -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.scheme" -}}
{{- ternary "https" "http" (eq .Values.webConfig.tls true) -}}
{{- end -}}

{{/*
What a flag of the exporter is in the end: the root context, the flag, what its value of the chart
is. extraEnv and extraArgs may have it too, and the probes must follow.
*/}}
{{- define "cloudflare-mcp-exporter.flag" -}}
{{- $flag := index . 1 -}}
{{- $variable := printf "CLOUDFLARE_MCP_EXPORTER_%s" ($flag | upper | replace "." "_" | replace "-" "_") -}}
{{- $found := "" -}}
{{- range (index . 0).Values.extraEnv -}}
{{- if eq .name $variable -}}{{- $found = .value | default "" -}}{{- end -}}
{{- end -}}
{{- with index . 2 -}}{{- $found = . -}}{{- end -}}
{{- range (index . 0).Values.extraArgs -}}
{{- if hasPrefix (printf "--%s=" $flag) . -}}{{- $found = trimPrefix (printf "--%s=" $flag) . -}}{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.externalUrl" -}}
{{- include "cloudflare-mcp-exporter.flag" (list . "web.external-url" .Values.externalUrl) | trimSuffix "/" -}}
{{- end -}}

{{/* What is before every path that the exporter serves: with a slash in front, or empty. */}}
{{- define "cloudflare-mcp-exporter.prefix" -}}
{{- $prefix := include "cloudflare-mcp-exporter.flag" (list . "web.route-prefix" .Values.routePrefix) -}}
{{- if not $prefix -}}
{{- with include "cloudflare-mcp-exporter.externalUrl" . -}}{{- $prefix = (urlParse .).path -}}{{- end -}}
{{- end -}}
{{- with trimAll "/" $prefix -}}/{{- . -}}{{- end -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.metricsPath" -}}
{{- include "cloudflare-mcp-exporter.prefix" . -}}
{{- include "cloudflare-mcp-exporter.flag" (list . "web.telemetry-path" "") | default "/metrics" -}}
{{- end -}}

{{- define "cloudflare-mcp-exporter.host" -}}
{{- printf "%s.%s.svc" (include "cloudflare-mcp-exporter.fullname" .) (include "cloudflare-mcp-exporter.namespace" .) -}}
{{- end -}}

{{/* Names of the accounts for probes, as a list. */}}
{{- define "cloudflare-mcp-exporter.accounts" -}}
{{- $names := .Values.probe.accounts | default list -}}
{{- if and (not $names) .Values.accountId -}}
{{- $names = list .Values.accountId -}}
{{- end -}}
{{- if and (not $names) .Values.demo -}}
{{- $names = list "Demo account" -}}
{{- end -}}
{{- if not $names -}}
{{- range ((.Values.config | default dict).accounts | default list) -}}
{{- $names = append $names (default .account_id .name) -}}
{{- end -}}
{{- end -}}
{{- if not $names -}}
{{- fail "probe.accounts: name the accounts to probe; they are not known here" -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* Complaints about values that do not fit together. */}}
{{- define "cloudflare-mcp-exporter.check" -}}
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
{{- if and (or .Values.accountId .Values.accountIdKey) (not (include "cloudflare-mcp-exporter.secret" .)) -}}
{{- fail "set existingSecret or secret: the account's token is read from there" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.probe.enabled -}}
{{- fail "enable serviceMonitor or probe: both together list every account twice" -}}
{{- end -}}
{{- end -}}
