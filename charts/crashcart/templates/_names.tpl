{{- /* Labels of every object; call with (dict "root" $ "component" "controller"). */ -}}
{{- define "crashcart.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: crashcart
{{ include "crashcart.selector" . }}
{{- end }}

{{- /* What selectors use: never changes between versions, because a selector cannot be changed. */ -}}
{{- define "crashcart.selector" -}}
app.kubernetes.io/name: crashcart
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "crashcart.image" -}}
{{- $repository := required "image.repository is not set: push build/images/crashcart.tar to a registry and give --set image.repository=… (docs/install.md)" .Values.image.repository -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* A pod that satisfies the Pod Security level `restricted`: numeric user, no capability, no way to more rights. */ -}}
{{- define "crashcart.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "crashcart.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
