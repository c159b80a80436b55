"""What people may do where bookings run, and which of the built-in roles may."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

READ = register("jobs.read", _("see bookings, jobs, data, models and endpoints"))
RUN = register("jobs.run", _("run jobs in bookings, open their files and logs"))
STORE = register("jobs.store", _("put data in the store and take it out"))
SERVE = register("jobs.serve", _("register models and serve them"))
CONNECT = register("jobs.connect", _("connect the engine of a site"))
RUNNER = register("jobs.runner", _("run what was booked"), everywhere_only=True)

BY_ROLE = {
    "agent": (READ, RUN, STORE, SERVE),
    "operator": (READ, RUN, STORE, SERVE, CONNECT),
    "officer": (READ,),
    "auditor": (READ,),
}
