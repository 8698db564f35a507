"""Settings that earlier versions called otherwise, for old files and old command lines."""

# last part of a dotted name -> what the same setting is called now
RENAMED = {
    "pace": "schedule",
    "end_weight": "termination_event_weight",
    "told": "known_actions",
    "opinion_weight": "logits_weight",
    "energy_weight": "gradient_weight",
    "end_price": "termination_cost",
    "visitors": "connections",
    "pictures": "images",
    "policy_file": "policy",
}
GONE = {
    "resolver": "a setting names no code any more; leave it out",
    "policy_maker": "a setting names no code any more; leave it out",
}
