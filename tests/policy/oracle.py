"""IAM's rules for one resource policy in their plainest form. Imports nothing of the package."""


def glob(pattern, value):
    """Match by trying everything: `*` is any text, `?` one character."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return glob(pattern[1:], value) or (bool(value) and glob(pattern, value[1:]))
    return bool(value) and pattern[0] in ("?", value[0]) and glob(pattern[1:], value[1:])


def listed(value):
    return value if isinstance(value, list) else [value]


def arn_glob(pattern, value):
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(values) == 6 and all(map(glob, patterns, values))


COMPARISONS = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": glob,
    "ArnEquals": arn_glob,
    "ArnLike": arn_glob,
}


def passes(operator, wanted, value):
    """Decide one operator for one key, whose value is None when the request does not have it."""
    if operator == "Null":
        return (value is None) == (str(listed(wanted)[0]).lower() == "true")
    for_all, for_any = operator.startswith("ForAllValues:"), operator.startswith("ForAnyValue:")
    operator = operator.split(":")[-1]
    if value is None and for_any:
        return False
    if value is None and (for_all or operator.endswith("IfExists")):
        return True
    operator = operator.replace("IfExists", "")
    if "Not" in operator:
        return not passes(operator.replace("Not", ""), wanted, value)
    return value is not None and any(COMPARISONS[operator](text, value) for text in listed(wanted))


def failed_keys(statement, context):
    return {
        key
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
        if not passes(operator, wanted, context.get(key))
    }


def is_called(principal, names):
    """Say whether a statement's names mean the principal: everybody, itself, its account, or its service."""
    parts = (principal or "").split(":")
    is_arn = len(parts) > 5
    for name in names:
        account = name.split(":")[4] if name.endswith(":root") else name
        if name in ("*", principal):
            return True
        if principal and account in (principal, parts[4] if is_arn else None):
            return True
        if is_arn and parts[2] not in ("iam", "sts") and name == f"{parts[2]}.amazonaws.com":
            return True
    return False


def decide(document, action, bus, principal, source, detail_type):
    """Give the error code, or None."""
    context = {"events:source": source, "events:detail-type": detail_type}
    if principal is not None:
        parts = principal.split(":")
        kind = "Source" if len(parts) > 5 and parts[2] not in ("iam", "sts") else "Principal"
        context[f"aws:{kind}Arn"] = principal
        account = parts[4] if len(parts) > 5 else principal
        if len(account) == 12 and account.isdigit():
            context[f"aws:{kind}Account"] = account
    codes, allowed = [], False
    for statement in document["Statement"]:
        names = statement["Principal"]
        names = [names] if isinstance(names, str) else [n for kind in names.values() for n in listed(kind)]
        if not is_called(principal, names):
            continue
        if not any(glob(pattern.lower(), action.lower()) for pattern in listed(statement["Action"])):
            continue
        if not any(glob(pattern.split("/")[-1], bus) for pattern in listed(statement["Resource"])):
            continue
        failed = failed_keys(statement, context)
        if statement["Effect"] == "Allow":
            allowed = allowed or not failed
            codes.append(code_of(failed))
        elif not failed:
            return code_of({key for keys in statement.get("Condition", {}).values() for key in keys})
    if allowed:
        return None
    for code in ("NotAuthorizedForDetailTypeException", "NotAuthorizedForSourceException"):
        if code in codes:
            return code
    return "AccessDeniedException"


def code_of(keys):
    """Give the code that says which keys it has come down to."""
    if keys == {"events:detail-type"}:
        return "NotAuthorizedForDetailTypeException"
    if keys in ({"events:source"}, {"events:source", "events:detail-type"}):
        return "NotAuthorizedForSourceException"
    return "AccessDeniedException"
