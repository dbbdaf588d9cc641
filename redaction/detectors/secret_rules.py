"""The shapes of secrets that can be told for certain: data, with examples of what each rule takes and leaves.

Rules of this module:
* High precision only: a fixed prefix or an armour, and a length. Generic `password=` and entropy are not here.
* Every rule names literals; a text that holds none of them is not looked at. Patterns have no nested repetition.
* `takes` and `leaves` are tested one by one. They are put together from parts so that scanners of repositories do not
  take this file for a leak; none was ever valid.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretRule:
    """One kind of secret. Group `secret` of the pattern is what is taken out; without one, the whole match."""

    kind: str
    literals: tuple[str, ...]
    pattern: str
    takes: tuple[str, ...]
    leaves: tuple[str, ...]
    keys: tuple[str, ...] = ()  # normal names of keys under which a bare value of this pattern counts


_ALNUM36 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
_HEX32 = "0123456789abcdef" * 2
_EDGE = r"(?<![A-Za-z0-9_\-])"
_END = r"(?![A-Za-z0-9_\-])"

SECRET_RULES = (
    SecretRule(
        kind="private_key",
        literals=("PRIVATE KEY",),
        pattern=r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[\s\S]{0,20000}?-----END [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----|[\s\S]{0,20000})",
        takes=(
            "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN " + "PRIVATE KEY-----\\nMIIEow\\n-----END PRIVATE KEY-----",
            "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA",
            "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----\nlQdGBF\n-----END PGP PRIVATE KEY BLOCK-----",
        ),
        leaves=(
            "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----",
            "the PRIVATE KEY is kept elsewhere",
        ),
    ),
    SecretRule(
        kind="aws_access_key",
        literals=("AKIA", "ASIA", "ABIA", "ACCA"),
        pattern=_EDGE + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}" + _END,
        takes=("AKIA" + "IOSFODNN7EXAMPLE", "id ASIA" + "Y34FZKBOKMUTVV7A."),
        leaves=("AKIAIOSFODNN7", "XAKIA" + "IOSFODNN7EXAMPLE", "akia" + "iosfodnn7example"),
    ),
    SecretRule(
        kind="aws_secret_key",
        literals=("ecret", "ECRET"),
        pattern=r"(?i)aws.{0,20}?secret.{0,30}?[\"'=:\s](?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        takes=("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG" + "/bPxRfiCYEXAMPLEKEY",),
        leaves=("aws_secret_access_key = changeme", "secret wJalrXUtnFEMI/K7MDENG" + "/bPxRfiCYEXAMPLEKEY"),
        keys=("secretaccesskey", "awssecretaccesskey", "awssecretkey"),
    ),
    SecretRule(
        kind="github_token",
        literals=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        pattern=_EDGE + r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})" + _END,
        takes=("ghp_" + _ALNUM36, "token gho_" + _ALNUM36, "github_pat_" + _ALNUM36[:22] + "_" + (_ALNUM36 * 2)[:59]),
        leaves=("ghp_short", "ghp_" + _ALNUM36[:20], "xghp_" + _ALNUM36),
    ),
    SecretRule(
        kind="gitlab_token",
        literals=("glpat-", "gldt-", "glrt-", "glptt-"),
        pattern=_EDGE + r"gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_\-]{20,64}" + _END,
        takes=("glpat-" + _ALNUM36[:20],),
        leaves=("glpat-short", "xglpat-" + _ALNUM36[:20]),
    ),
    SecretRule(
        kind="slack_token",
        literals=("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxo-", "xapp-"),
        pattern=_EDGE + r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9][A-Za-z0-9\-]{14,250}" + r"(?![A-Za-z0-9_])",
        takes=("xoxb-" + "123456789012-1234567890123-" + _ALNUM36[:24], "xapp-" + "1-A0123456789-" + _ALNUM36),
        leaves=("xoxb-short", "foxb-123456789012-" + _ALNUM36[:24]),
    ),
    SecretRule(
        kind="slack_webhook",
        literals=("hooks.slack.com",),
        pattern=r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_\-]{20,200}",
        takes=("https://hooks.slack.com/services/" + "T00000000/B00000000/" + _ALNUM36[:24],),
        leaves=("https://hooks.slack.com/", "https://slack.com/services/T00000000/B00000000/" + _ALNUM36[:24]),
    ),
    SecretRule(
        kind="google_api_key",
        literals=("AIza",),
        pattern=_EDGE + r"AIza[A-Za-z0-9_\-]{35}" + _END,
        takes=("AIza" + "SyA" + _ALNUM36[:32],),
        leaves=("AIza" + _ALNUM36[:20], "xAIza" + "SyA" + _ALNUM36[:32]),
    ),
    SecretRule(
        kind="google_oauth_token",
        literals=("ya29.", "GOCSPX-"),
        pattern=_EDGE + r"(?:ya29\.[A-Za-z0-9_\-]{30,500}|GOCSPX-[A-Za-z0-9_\-]{28})" + _END,
        takes=("ya29." + _ALNUM36, "GOCSPX-" + _ALNUM36[:28]),
        leaves=("ya29.short", "GOCSPX-short"),
    ),
    SecretRule(
        kind="stripe_key",
        literals=("sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"),
        pattern=_EDGE + r"(?:(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9+/]{32,64})" + _END,
        takes=("sk_live_" + _ALNUM36[:24], "rk_test_" + _ALNUM36[:24], "whsec_" + _ALNUM36[:32]),
        leaves=("pk_live_" + _ALNUM36[:24], "sk_live_short"),
    ),
    SecretRule(
        kind="openai_key",
        literals=("T3BlbkFJ", "sk-proj-", "sk-svcacct-", "sk-admin-"),
        pattern=_EDGE + r"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_\-]{20,200}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})"
        r"(?![A-Za-z0-9])",
        takes=("sk-" + _ALNUM36[:20] + "T3Blbk" + "FJ" + _ALNUM36[:20], "sk-proj-" + _ALNUM36),
        leaves=("sk-proj-short", "task-proj-" + _ALNUM36),
    ),
    SecretRule(
        kind="anthropic_key",
        literals=("sk-ant-",),
        pattern=_EDGE + r"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_\-]{32,200}",
        takes=("sk-ant-" + "api03-" + _ALNUM36 * 2,),
        leaves=("sk-ant-api03-short",),
    ),
    SecretRule(
        kind="huggingface_token",
        literals=("hf_",),
        pattern=_EDGE + r"hf_[A-Za-z]{34}" + _END,
        takes=("hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",),
        leaves=("hf_model_name_that_is_rather_long_here", "hf_" + "a" * 33),
    ),
    SecretRule(
        kind="npm_token",
        literals=("npm_",),
        pattern=_EDGE + r"npm_[A-Za-z0-9]{36}" + _END,
        takes=("npm_" + _ALNUM36,),
        leaves=("npm_config_registry", "npm_" + _ALNUM36[:30]),
    ),
    SecretRule(
        kind="pypi_token",
        literals=("pypi-AgE",),
        pattern=_EDGE + r"pypi-AgE[A-Za-z0-9_\-]{50,1000}",
        takes=("pypi-" + "AgEIcHlwaS5vcmc" + _ALNUM36 * 2,),
        leaves=("pypi-AgEIcHlwaS5vcmc", "pypi-server"),
    ),
    SecretRule(
        kind="sendgrid_key",
        literals=("SG.",),
        pattern=_EDGE + r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}" + _END,
        takes=("SG." + _ALNUM36[:22] + "." + (_ALNUM36 * 2)[:43],),
        leaves=("SG.Singapore", "SG." + _ALNUM36[:22]),
    ),
    SecretRule(
        kind="digitalocean_token",
        literals=("dop_v1_", "doo_v1_", "dor_v1_"),
        pattern=_EDGE + r"do[opr]_v1_[a-f0-9]{64}" + _END,
        takes=("dop_v1_" + _HEX32 * 2,),
        leaves=("dop_v1_" + _HEX32,),
    ),
    SecretRule(
        kind="azure_storage_key",
        literals=("AccountKey=", "SharedAccessKey="),
        pattern=r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{40,88}={0,2})",
        takes=("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + _ALNUM36 * 2 + "abcdefghij1234==",),
        leaves=("AccountKey=<redacted>", "AccountKey=short"),
    ),
    SecretRule(
        kind="age_secret_key",
        literals=("AGE-SECRET-KEY-1",),
        pattern=r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
        takes=("AGE-SECRET-KEY-" + "1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" + "QPZRY9X8GF2TVDW0S3JN54KHCE",),
        leaves=("AGE-SECRET-KEY-1 is how they begin",),
    ),
    SecretRule(
        kind="jwt",
        literals=("eyJ",),
        pattern=_EDGE + r"eyJ[A-Za-z0-9_\-]{10,2000}\.eyJ[A-Za-z0-9_\-]{4,8000}\.[A-Za-z0-9_\-]{16,2000}",
        takes=("eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0." + _ALNUM36,),
        leaves=(
            "eyJhbGciOiJIUzI1N.eyJzdWIiOiIxMjM0In0." + _ALNUM36,
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJ0eXAiOiJKV1QifQ.payload.signature",
            "eyJhIjoxfQ.eyJiIjoyfQ.x",
        ),
    ),
    SecretRule(
        kind="connection_string",
        literals=("://",),
        pattern=r"\b[A-Za-z][A-Za-z0-9+.\-]{1,40}://[^\s:/@\"'<>]{0,128}:(?P<secret>[^\s/@\"'<>]{1,256})@[^\s/@\"'<>]",
        takes=(
            "postgres://app:" + "hunter2@db.internal:5432/app",
            "amqp://u:" + "p%40ss@mq/",
            "redis://:" + "pw1@cache:6379",
        ),
        leaves=("https://example.com:8080/a@b", "postgres://db.internal/app", "see http://a:b/c", "https://user@host/"),
    ),
)

SECRET_KINDS = frozenset(rule.kind for rule in SECRET_RULES)
