from vhal.fleet.plan import Bound
def bound(objective, at):
    return None
