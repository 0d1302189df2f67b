{{- /* What the controller keeps an eye on, as JSON: it starts nothing while a policy is missing or altered, and keeps the shipped profiles there. */ -}}
{{- define "crashcart.controllerFiles" -}}
{{- $all := .Files.Get "files/profiles.yaml" | fromYaml -}}
{{- $wanted := dict -}}
{{- range .Values.profiles.install }}{{ $_ := set $wanted . (get $all .) }}{{ end -}}
policies.json: {{ include "crashcart.policies" . | fromYamlArray | toJson | quote }}
profiles.json: {{ $wanted | toJson | quote }}
{{- end }}
