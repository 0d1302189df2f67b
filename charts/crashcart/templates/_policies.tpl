{{- /*
The admission policies, each as {name, spec}. A template of its own because they are needed twice: as objects in the API server (admission.yaml)
and as what the controller compares those objects with (policies.yaml): it starts nothing while one of them is missing or was changed.

A session can run a command without anybody attaching: so who creates one is checked here, inside the API server, whatever the client.
`authorizer` asks with all that the request carries (groups, uid, extra), and for the impersonated user when there is one. The checks name
the namespace, so that rights given there (RoleBinding) count as well as rights given everywhere.
*/ -}}
{{- define "crashcart.policies" -}}
- name: debugsessions.crashcart.dev
  spec:
    failurePolicy: Fail
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [crashcart.dev]
          apiVersions: ['*']
          operations: [CREATE]
          resources: [debugsessions]
    variables:
      - name: pod
        expression: object.spec.target.pod.name
      - name: profile
        expression: object.spec.profile
      - name: uid
        expression: 'has(request.userInfo.uid) ? request.userInfo.uid : ""'
      - name: groups
        expression: 'has(request.userInfo.groups) ? request.userInfo.groups : []'
      - name: namedUid
        expression: 'has(object.spec.requestedBy) && has(object.spec.requestedBy.uid) ? object.spec.requestedBy.uid : ""'
      - name: namedGroups
        expression: 'has(object.spec.requestedBy) && has(object.spec.requestedBy.groups) ? object.spec.requestedBy.groups : []'
    validations:
      - reason: Forbidden
        expression: >-
          authorizer.group('').resource('pods').subresource('exec').namespace(request.namespace).name(variables.pod).check('create').allowed()
        messageExpression: >-
          'a session in pod ' + variables.pod + ' needs the right to create pods/exec on it, and ' + request.userInfo.username +
          ' does not have it in namespace ' + request.namespace + '; ask for a role with verb create on pods/exec there'
      - reason: Forbidden
        expression: >-
          authorizer.group('crashcart.dev').resource('debugprofiles').namespace(request.namespace).name(variables.profile).check('use').allowed()
        messageExpression: >-
          'profile ' + variables.profile + ' needs the right to use debugprofiles/' + variables.profile + ' in crashcart.dev, and ' +
          request.userInfo.username + ' does not have it in namespace ' + request.namespace +
          '; choose another profile or ask for the role ' +
          (variables.profile in ['general', 'baseline', 'restricted'] ? 'crashcart-user' : 'crashcart-admin')
      # Before 1.36 nothing fills it in on the server: the plugin does, and a manifest has to say it.
      - reason: Invalid
        expression: has(object.spec.requestedBy)
        messageExpression: >-
          'spec.requestedBy is missing: write username ' + request.userInfo.username + ' there (kubectl auth whoami -o yaml shows uid and groups, too), or create the session with kubectl crashcart, which fills it in'
      - reason: Forbidden
        expression: "!has(object.spec.requestedBy) || object.spec.requestedBy.username == request.userInfo.username"
        messageExpression: >-
          'spec.requestedBy names ' + object.spec.requestedBy.username + ', but the session is created by ' + request.userInfo.username +
          '; leave it out or name yourself'
      - reason: Invalid
        expression: "!has(object.spec.extendedBy)"
        message: spec.extendedBy says who has made maxDuration longer, which nobody has yet; leave it out
      # A list of hundreds of groups comes in the same order, or is compared as a whole only where that is cheap.
      - reason: Forbidden
        expression: >-
          !has(object.spec.requestedBy) || (variables.namedUid == variables.uid && (variables.namedGroups == variables.groups ||
          (variables.namedGroups.size() <= 100 && variables.groups.size() <= 100 && sets.equivalent(variables.namedGroups, variables.groups))))
        messageExpression: >-
          'spec.requestedBy does not have the uid and the groups of ' + request.userInfo.username +
          '; leave it out where the API server fills it in, or write what kubectl auth whoami -o yaml shows'
# Our finalizer on a session means that something of it may still be on a node. Taking it off by hand hides that, so it needs a right of its own
# (`update debugsessions/finalizers`), which the controller has and an administrator of the cluster.
- name: debugsessions-finalizer.crashcart.dev
  spec:
    failurePolicy: Fail
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [crashcart.dev]
          apiVersions: ['*']
          operations: [UPDATE]
          resources: [debugsessions]
    matchConditions:
      - name: takes-the-finalizer-off
        expression: >-
          has(oldObject.metadata.finalizers) && 'crashcart.dev/session' in oldObject.metadata.finalizers &&
          !(has(object.metadata.finalizers) && 'crashcart.dev/session' in object.metadata.finalizers)
    validations:
      - reason: Forbidden
        expression: >-
          authorizer.group('crashcart.dev').resource('debugsessions').subresource('finalizers').namespace(request.namespace).name(object.metadata.name).check('update').allowed()
        message: >-
          the finalizer crashcart.dev/session is taken off by the controller once nothing of the session is left on its node; delete the
          session and wait, or ask for the right to update debugsessions/finalizers in crashcart.dev
# The right to patch a session is the right to extend one's own and nothing else: whoever does not hold `update` besides, which no role of ours gives,
# changes maxDuration only. The schema lets it grow only. To go on in a pod takes the same rights as to begin there.
- name: debugsessions-extension.crashcart.dev
  spec:
    failurePolicy: Fail
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [crashcart.dev]
          apiVersions: ['*']
          operations: [UPDATE]
          resources: [debugsessions]
    variables:
      - name: extended
        expression: object.spec.maxDuration != oldObject.spec.maxDuration
      - name: sameLabels
        expression: >-
          (has(object.metadata.labels) ? object.metadata.labels : {}) == (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {})
      - name: annotations
        expression: 'has(object.metadata.annotations) ? object.metadata.annotations : {}'
      - name: oldAnnotations
        expression: 'has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}'
      # But for that in which kubectl apply keeps what it applied last.
      - name: sameAnnotations
        expression: >-
          variables.annotations.all(key, key == 'kubectl.kubernetes.io/last-applied-configuration' ||
          (key in variables.oldAnnotations && variables.oldAnnotations[key] == variables.annotations[key])) &&
          variables.oldAnnotations.all(key, key == 'kubectl.kubernetes.io/last-applied-configuration' || key in variables.annotations)
      - name: sameOwners
        expression: >-
          (has(object.metadata.ownerReferences) ? object.metadata.ownerReferences : []) == (has(oldObject.metadata.ownerReferences) ? oldObject.metadata.ownerReferences : [])
      # Ours has a policy of its own.
      - name: sameFinalizers
        expression: >-
          (has(object.metadata.finalizers) ? object.metadata.finalizers : []).filter(name, name != 'crashcart.dev/session') ==
          (has(oldObject.metadata.finalizers) ? oldObject.metadata.finalizers : []).filter(name, name != 'crashcart.dev/session')
      - name: own
        expression: >-
          has(object.spec.requestedBy) && object.spec.requestedBy.username == request.userInfo.username &&
          (!has(object.spec.requestedBy.uid) || !has(request.userInfo.uid) || request.userInfo.uid == '' || object.spec.requestedBy.uid == request.userInfo.uid)
    validations:
      - reason: Forbidden
        expression: >-
          (variables.sameLabels && variables.sameAnnotations && variables.sameOwners) ||
          authorizer.group('crashcart.dev').resource('debugsessions').namespace(request.namespace).name(object.metadata.name).check('update').allowed()
        message: of a DebugSession only spec.maxDuration can be changed; labels and annotations need the right to update debugsessions in crashcart.dev
      - reason: Forbidden
        expression: >-
          variables.sameFinalizers ||
          authorizer.group('crashcart.dev').resource('debugsessions').subresource('finalizers').namespace(request.namespace).name(object.metadata.name).check('update').allowed()
        message: of a DebugSession only spec.maxDuration can be changed; finalizers need the right to update debugsessions/finalizers in crashcart.dev
      - reason: Forbidden
        expression: >-
          !variables.extended || variables.own ||
          authorizer.group('subresources.crashcart.dev').resource('debugsessions').subresource('attachothers').namespace(request.namespace).name(object.metadata.name).check('create').allowed()
        messageExpression: >-
          'the session ' + object.metadata.name + ' is another person’s: to extend it needs the right to create debugsessions/attachothers in subresources.crashcart.dev, and ' +
          request.userInfo.username + ' does not have it in namespace ' + request.namespace
      - reason: Forbidden
        expression: >-
          !variables.extended ||
          authorizer.group('').resource('pods').subresource('exec').namespace(request.namespace).name(object.spec.target.pod.name).check('create').allowed()
        messageExpression: >-
          'to extend a session in pod ' + object.spec.target.pod.name + ' needs the right to create pods/exec on it, and ' + request.userInfo.username +
          ' does not have it in namespace ' + request.namespace
      - reason: Forbidden
        expression: >-
          !variables.extended ||
          authorizer.group('crashcart.dev').resource('debugprofiles').namespace(request.namespace).name(object.spec.profile).check('use').allowed()
        messageExpression: >-
          'to extend a session with profile ' + object.spec.profile + ' needs the right to use debugprofiles/' + object.spec.profile + ' in crashcart.dev, and ' +
          request.userInfo.username + ' does not have it in namespace ' + request.namespace
      # The Event that tells of it names whoever stands there. Before 1.36 nothing fills it in on the server: the plugin does, and a patch has to say it.
      - reason: Invalid
        expression: >-
          !variables.extended || (has(object.spec.extendedBy) && object.spec.extendedBy.username == request.userInfo.username &&
          (has(object.spec.extendedBy.uid) ? object.spec.extendedBy.uid : '') == (has(request.userInfo.uid) ? request.userInfo.uid : ''))
        messageExpression: >-
          'spec.extendedBy does not name who extends the session: write username ' + request.userInfo.username +
          (has(request.userInfo.uid) && request.userInfo.uid != '' ? ' and uid ' + request.userInfo.uid : '') +
          ' there, or extend it with kubectl crashcart extend, which fills it in'
# At creation a longer time than the profile's is cut to it in silence; whoever extends is told. The controller keeps to the bound in any case.
# Ignore, here and in the other policy with parameters: an API server that has just started may look for the definition of DebugProfile too early and
# not again for half a minute, and would refuse everybody until then. Neither gives a right: what they say early, controller and agent decide.
- name: debugsessions-extension-profile.crashcart.dev
  paramRef:
    selector: {}
    parameterNotFoundAction: Allow
  spec:
    failurePolicy: Ignore
    paramKind:
      apiVersion: crashcart.dev/v1alpha1
      kind: DebugProfile
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [crashcart.dev]
          apiVersions: ['*']
          operations: [UPDATE]
          resources: [debugsessions]
    matchConditions:
      - name: is-extended
        expression: object.spec.maxDuration != oldObject.spec.maxDuration
    validations:
      - reason: Forbidden
        expression: >-
          params.metadata.name != object.spec.profile || !has(params.spec.maxDuration) || duration(object.spec.maxDuration) <= duration(params.spec.maxDuration)
        messageExpression: >-
          'the profile ' + object.spec.profile + ' lets a session last ' + params.spec.maxDuration + ' at most, not ' + object.spec.maxDuration
# Gateway and reconciler believe the status: which node, which pod, which container. Not even an administrator writes it.
- name: debugsessions-status.crashcart.dev
  spec:
    failurePolicy: Fail
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [crashcart.dev]
          apiVersions: ['*']
          operations: [UPDATE]
          resources: [debugsessions/status]
    validations:
      - reason: Forbidden
        expression: request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:crashcart-controller'
        message: the status of a DebugSession is written by the controller only
# What the profile forbids is said at creation, in words, not by a session that fails. One evaluation for each profile that there is; only
# the session's own says something. The controller decides the same when it starts a session: profiles may have changed by then. Hence Ignore.
- name: debugsessions-profile.crashcart.dev
  paramRef:
    selector: {}
    parameterNotFoundAction: Allow
  spec:
    failurePolicy: Ignore
    paramKind:
      apiVersion: crashcart.dev/v1alpha1
      kind: DebugProfile
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [crashcart.dev]
          apiVersions: ['*']
          operations: [CREATE]
          resources: [debugsessions]
    variables:
      - name: other
        expression: params.metadata.name != object.spec.profile
    validations:
      - reason: Invalid
        expression: variables.other || !has(params.spec.requireReason) || !params.spec.requireReason || has(object.spec.reason)
        messageExpression: >-
          'the profile ' + object.spec.profile + ' requires a reason: give one with --reason, or in spec.reason'
      - reason: Forbidden
        expression: variables.other || !has(params.spec.visibilities) || object.spec.visibility in params.spec.visibilities
        messageExpression: >-
          'the profile ' + object.spec.profile + ' does not allow the visibility ' + object.spec.visibility + ', only ' + params.spec.visibilities.join(', ')
      - reason: Forbidden
        expression: variables.other || !has(params.spec.toolboxes) || object.spec.toolbox in params.spec.toolboxes
        messageExpression: >-
          'the profile ' + object.spec.profile + ' does not allow the toolbox ' + object.spec.toolbox + ', only ' + params.spec.toolboxes.join(', ')
# Whoever may create APIServices can take over any group of the cluster. Ours may write one: this one, with this backend, checked.
- name: debugsessions-apiservice.crashcart.dev
  spec:
    failurePolicy: Fail
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [apiregistration.k8s.io]
          apiVersions: ['*']
          operations: [CREATE, UPDATE]
          resources: [apiservices]
    matchConditions:
      - name: is-ours
        expression: >-
          request.userInfo.username in ['system:serviceaccount:{{ .Release.Namespace }}:crashcart-breaker', 'system:serviceaccount:{{ .Release.Namespace }}:crashcart-controller']
    validations:
      - reason: Forbidden
        expression: >-
          object.metadata.name == 'v1alpha1.subresources.crashcart.dev' && object.spec.group == 'subresources.crashcart.dev' &&
          has(object.spec.service) && object.spec.service.name == 'crashcart' && object.spec.service.namespace == '{{ .Release.Namespace }}' &&
          !(has(object.spec.insecureSkipTLSVerify) && object.spec.insecureSkipTLSVerify)
        message: Crashcart may write its own APIService only, with its own Service behind it
{{- if eq .Values.attach.mode "Ticket" }}
# The gateway believes a ticket: whose rights it asks for is who stands there. So that can only be who made it.
- name: debugattachments.crashcart.dev
  spec:
    failurePolicy: Fail
    matchConstraints:
      matchPolicy: Equivalent
      resourceRules:
        - apiGroups: [crashcart.dev]
          apiVersions: ['*']
          operations: [CREATE]
          resources: [debugattachments]
    variables:
      - name: who
        expression: object.spec.requestedBy
      - name: uid
        expression: 'has(request.userInfo.uid) ? request.userInfo.uid : ""'
      - name: groups
        expression: 'has(request.userInfo.groups) ? request.userInfo.groups : []'
      - name: namedGroups
        expression: 'has(variables.who.groups) ? variables.who.groups : []'
      - name: extra
        expression: 'has(request.userInfo.extra) ? request.userInfo.extra : {}'
      - name: namedExtra
        expression: 'has(variables.who.extra) ? variables.who.extra : {}'
    validations:
      - reason: Forbidden
        expression: >-
          variables.who.username == request.userInfo.username && (has(variables.who.uid) ? variables.who.uid : "") == variables.uid
        messageExpression: >-
          'spec.requestedBy names ' + variables.who.username + ', but the ticket is made by ' + request.userInfo.username
      # In the API server's order: it was asked for just before.
      - reason: Forbidden
        expression: variables.namedGroups == variables.groups
        messageExpression: >-
          'spec.requestedBy does not have the groups of ' + request.userInfo.username + ', in the order of kubectl auth whoami -o yaml'
      # Every key with the same values, and as many keys: nothing is left out that would narrow what the user may do.
      - reason: Forbidden
        expression: >-
          variables.namedExtra.size() == variables.extra.size() &&
          variables.extra.all(key, key in variables.namedExtra && variables.namedExtra[key] == variables.extra[key])
        messageExpression: >-
          'spec.requestedBy does not have what else the API server knows of ' + request.userInfo.username + ' (extra of kubectl auth whoami -o yaml)'
{{- end }}
{{- end }}
{{- /* Who asks for a session, and who extends one, each as {name, operation, matchConditions, patch}. */ -}}
{{- define "crashcart.mutations" -}}
- name: debugsessions.crashcart.dev
  operation: CREATE
  matchConditions:
    - name: names-nobody
      expression: '!has(object.spec.requestedBy)'
  patch: >-
    [JSONPatch{op: "add", path: "/spec/requestedBy", value: Object.spec.requestedBy{
    username: request.userInfo.username,
    uid: has(request.userInfo.uid) ? request.userInfo.uid : "",
    groups: has(request.userInfo.groups) ? request.userInfo.groups : []}}]
- name: debugsessions-extension.crashcart.dev
  operation: UPDATE
  matchConditions:
    - name: is-extended
      expression: object.spec.maxDuration != oldObject.spec.maxDuration
    # Or names the last one, as a patch of maxDuration alone leaves it. Whom it names instead is for the policy to judge.
    - name: names-nobody-new
      expression: >-
        !has(object.spec.extendedBy) || (has(oldObject.spec.extendedBy) && object.spec.extendedBy == oldObject.spec.extendedBy)
  patch: >-
    [JSONPatch{op: "add", path: "/spec/extendedBy", value: Object.spec.extendedBy{
    username: request.userInfo.username,
    uid: has(request.userInfo.uid) ? request.userInfo.uid : ""}}]
{{- end }}
