{{/*
Rules and dashboards are rendered by mixin/ of the repository, with marks where thresholds go (see
mixin/chart.py). files/thresholds.json has the defaults, and what labels of a list make of a text.
*/}}

{{/* The thresholds of this release, as JSON; refuses those that no rule could be made with. */}}
{{- define "cloudflare-mcp-exporter.thresholds" -}}
{{- $values := (.Files.Get "files/thresholds.json" | fromJson).defaults -}}
{{- $_ := set $values "selector" (printf "job=%q" .Values.jobName) -}}
{{/* The exporter serves the runbooks itself, if their address is one. */}}
{{- $external := include "cloudflare-mcp-exporter.externalUrl" . -}}
{{- if and $external (hasPrefix "http" $values.runbook_base_url) -}}
{{- $_ := set $values "runbook_base_url" (printf "%s/runbooks" $external) -}}
{{- end -}}
{{- range $name, $value := .Values.thresholds -}}
{{- if not (hasKey $values $name) -}}
{{- fail (printf "thresholds.%s: unknown; mixin/thresholds.yaml has those that there are" $name) -}}
{{- end -}}
{{- if not (kindIs "invalid" $value) -}}
{{- include "cloudflare-mcp-exporter.checkThreshold" (list $name (get $values $name) $value) -}}
{{- $_ := set $values $name $value -}}
{{- end -}}
{{- end -}}
{{- toJson $values -}}
{{- end -}}

{{/* Complain of a value that is not of its default's kind: name, default, value. */}}
{{- define "cloudflare-mcp-exporter.checkThreshold" -}}
{{- $name := index . 0 -}}{{- $default := index . 1 -}}{{- $value := index . 2 -}}
{{- $duration := "^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$" -}}
{{- $wanted := "" -}}
{{- if kindIs "map" $default -}}
{{- if not (kindIs "map" $value) -}}{{- $wanted = "a mapping" -}}{{- end -}}
{{- else if kindIs "slice" $default -}}
{{- if not (kindIs "slice" $value) -}}{{- $wanted = "a list of labels" -}}
{{- else -}}
{{- range $value -}}
{{- if not (regexMatch "^[a-zA-Z_][a-zA-Z0-9_]*$" (toString .)) -}}{{- $wanted = "a list of labels" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "string" $default -}}
{{- if not (kindIs "string" $value) -}}{{- $wanted = "a text" -}}
{{- else if and $default (regexMatch $duration $default) -}}
{{- if not (and $value (regexMatch $duration $value)) -}}{{- $wanted = "a duration such as 30s, 10m or 1h30m" -}}{{- end -}}
{{- else if regexMatch "[`%\\s{}]" (ternary $value "" (ne $name "selector")) -}}{{- $wanted = "without spaces, braces, % and `" -}}
{{- else if regexMatch "[`%\n]" $value -}}{{- $wanted = "without % and `" -}}
{{- end -}}
{{- else if not (regexMatch "^[1-9][0-9]*$" (toJson $value)) -}}{{- $wanted = "a whole number above 0" -}}
{{- end -}}
{{- with $wanted -}}{{- fail (printf "thresholds.%s: must be %s" $name .) -}}{{- end -}}
{{- end -}}

{{/* A text as it is inside a string of JSON. */}}
{{- define "cloudflare-mcp-exporter.inJson" -}}
{{- toJson . | trimPrefix "\"" | trimSuffix "\"" -}}
{{- end -}}

{{/* The seconds of a duration. */}}
{{- define "cloudflare-mcp-exporter.seconds" -}}
{{- $units := dict "y" 31536000.0 "w" 604800.0 "d" 86400.0 "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9]+(ms|[ywdhms])" . -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- printf "%.15g" $sum -}}
{{- end -}}

{{/* A file with the thresholds in their places: the root context, the thresholds, the path. */}}
{{- define "cloudflare-mcp-exporter.filled" -}}
{{- $root := index . 0 -}}{{- $values := index . 1 -}}
{{- $text := $root.Files.Get (index . 2) -}}
{{- $about := $root.Files.Get "files/thresholds.json" | fromJson -}}
{{- range $number, $segment := $about.segments -}}
{{- $items := list -}}
{{- range get $values (first $about.lists) -}}
{{- $items = append $items (replace "@@label@@" . $segment.item) -}}
{{- end -}}
{{- $filled := "" -}}
{{- if $items -}}{{- $filled = replace "@@labels@@" (join $segment.between $items) $segment.text -}}{{- end -}}
{{- $text = replace (printf "@@list.%d@@" $number) (include "cloudflare-mcp-exporter.inJson" $filled) $text -}}
{{- end -}}
{{- range $name, $default := $about.defaults -}}
{{- $value := get $values $name -}}
{{- if kindIs "string" $default -}}
{{- if hasSuffix "_url" $name -}}{{- $value = regexReplaceAll "/+$" $value "" -}}{{- end -}}
{{- $text = replace (printf "@@%s@@" $name) (include "cloudflare-mcp-exporter.inJson" $value) $text -}}
{{- $text = replace (printf "@@seconds.%s@@" $name) (include "cloudflare-mcp-exporter.seconds" $value) $text -}}
{{- else if not (or (kindIs "map" $default) (kindIs "slice" $default)) -}}
{{- $text = replace (printf "\"@@int.%s@@\"" $name) ($value | int64 | toString) $text -}}
{{- $text = replace (printf "\"@@float.%s@@\"" $name) (printf "%d.0" ($value | int64)) $text -}}
{{- $text = replace (printf "@@%s@@" $name) ($value | int64 | toString) $text -}}
{{- end -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* The groups of rules, as JSON. */}}
{{- define "cloudflare-mcp-exporter.ruleGroups" -}}
{{- $values := include "cloudflare-mcp-exporter.thresholds" . | fromJson -}}
{{- $known := list -}}
{{- $groups := list -}}
{{- range $file := list "cloudflare-mcp.rules" "cloudflare-mcp-probes.rules" "cloudflare-mcp-posture.rules" -}}
{{- $path := printf "files/alerts/%s.json" $file -}}
{{- range (include "cloudflare-mcp-exporter.filled" (list $ $values $path) | fromJson).groups -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- if .alert -}}{{- $known = append $known .alert -}}{{- end -}}
{{- with include "cloudflare-mcp-exporter.rule" (list $values .) | fromJson -}}{{- $rules = append $rules . -}}{{- end -}}
{{- end -}}
{{- if or $.Values.prometheusRule.posture (ne $file "cloudflare-mcp-posture.rules") -}}
{{- $groups = append $groups (dict "name" .name "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $field := list "severities" "alerts" -}}
{{- range $name, $_ := get $values $field -}}
{{- if not (has $name $known) -}}{{- fail (printf "thresholds.%s: there is no alert %s" $field $name) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end -}}

{{/* One rule with what users add, as JSON; empty where it is switched off: thresholds, rule. */}}
{{- define "cloudflare-mcp-exporter.rule" -}}
{{- $values := index . 0 -}}{{- $rule := index . 1 -}}
{{- $own := dict -}}
{{- with $rule.alert -}}{{- $own = get $values.alerts . | default dict -}}{{- end -}}
{{- if eq (toString (get $own "enabled")) "false" -}}
{}
{{- else -}}
{{- if $rule.alert -}}
{{- with get $values.severities $rule.alert -}}{{- $_ := set $rule.labels "severity" . -}}{{- end -}}
{{- range $field := list "labels" "annotations" -}}
{{- include "cloudflare-mcp-exporter.overlay" (list (get $rule $field) (get $values.every_alert $field | default dict)) -}}
{{- include "cloudflare-mcp-exporter.overlay" (list (get $rule $field) (get $own $field | default dict)) -}}
{{- end -}}
{{- end -}}
{{- toJson $rule -}}
{{- end -}}
{{- end -}}
