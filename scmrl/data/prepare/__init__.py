"""Published downloads, prepared: see `prepare`."""

# Name -> "module:function" of plan(source, asked), imported when asked for.
PREPARED = {
    "crema-d": "scmrl.data.prepare.crema_d:plan",
    "crema-d-audio": "scmrl.data.prepare.crema_d:plan_audio",
    "ave": "scmrl.data.prepare.ave:plan",
    "urbansound8k-av": "scmrl.data.prepare.urbansound8k_av:plan",
    "n-mnist": "scmrl.data.prepare.n_mnist:plan",
    "mnistdvs-ntidigits": "scmrl.data.prepare.mnistdvs_ntidigits:plan",
    "shd": "scmrl.data.prepare.spoken_spikes:plan_shd",
    "ssc": "scmrl.data.prepare.spoken_spikes:plan_ssc",
}
