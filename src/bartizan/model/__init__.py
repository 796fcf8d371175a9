"""The vocabulary: frozen values in the field's words. Each parses or raises `InvalidValue`.

ids         IdentityName, ClientId, RoleName, GroupName, AttributeName
topics      TopicName, TopicFilter (parsed by the engine, so that there is one implementation)
reason      the Reason Codes of MQTT 5 that the control plane answers with
credential  what can prove an identity: password hash, certificate, SCRAM keys; until when
principal   Identity (what is stored), its state, and Principal (who a connection is)
group       Group: roles that its members have
signing     how whoever gets a POST knows who sent it
version     of MQTT, as people write it
usage       when an identity was last seen, and what proved it
"""
