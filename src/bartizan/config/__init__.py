"""What the operator decides, as frozen values; unknown keys are errors and every risk is spelt `danger_*`.

schema     Settings and its small sections
listener   one listener: where, TLS, who may try
authenticators  further ways to prove an identity, one model a kind; accounts, those that judge passwords elsewhere
outside    what all have that ask somebody; proofs, what a listener may not ask for
ldap_names  Distinguished Names and filters with variables
limits     every bound with its default and what happens when it is met
api        the REST API for operators; passkeys, oidc: how they log in without a password
metrics    under which names figures are told
layout     where things lie in the data directory
load       TOML file and `--set` -> Settings
files      the only module here that reads files: configuration, policies, secrets
policy_files  which files a policy is made of
danger     the risks in force, with their reasons
engine     Settings -> the engine's JSON
reference  the schema as docs/reference/settings.md

It exports no names: who reads a policy file does not build the models of the settings.
"""
