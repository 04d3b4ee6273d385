"""Published downloads, prepared: see `prepare`."""

# Name -> "module:function" of plan(source, asked), imported when asked for.
PREPARED = {
    "crema-d": "scmrl.data.prepare.crema_d:plan",
    "crema-d-audio": "scmrl.data.prepare.crema_d:plan_audio",
}
