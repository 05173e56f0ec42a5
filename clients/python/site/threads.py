"""gunicorn, as sites run it: two processes of four threads."""
import gunicorn.app.base

SETTINGS = {"workers": 2, "threads": 4, "loglevel": "warning", "graceful_timeout": 3, "control_socket_disable": True}


class Server(gunicorn.app.base.BaseApplication):
    def __init__(self, port, application):
        self.port, self.application = port, application
        super().__init__()

    def load_config(self):
        self.cfg.set("bind", f"127.0.0.1:{self.port}")
        for name, value in SETTINGS.items():
            # Newer versions know more of them.
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self):
        return self.application
